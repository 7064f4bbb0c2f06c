"""Psfs that hold several copies of one.

Where a picture repeats, as lines of text and tiles do, the blur of one psf is nearly that of several copies of it, so
many lines apart; and the latent image that goes with these is a ghost, sparser than the picture. No camera moves so.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from .evidence import Candidate
from .metrics import kernel_similarity
from .observation import Observation
from .support import centred

if TYPE_CHECKING:
    import numpy as np

__all__ = ["one_copy", "without_copies"]

# Pieces of a psf with at least such a share of its light are copies where the similarity of each to the largest is at
# least this, and the gap between any two so many times as wide as the widest of them. Of 217 psfs found for 44 pages
# and 36 photographs eight were so, all of them of pages and all wrong; of the others' pieces, those that were as alike
# lay less than half as far apart, and those as far apart were not so alike, at most 0.6.
_SHARE, _ALIKE, _GAP = 0.1, 0.9, 0.8


def one_copy(psf: Tensor) -> Tensor | None:
    """The largest of the copies that a psf `(kh, kw)` is made of, centred in the same window; None if it is not so."""
    from scipy import ndimage

    labels, _ = cast("tuple[np.ndarray, int]", ndimage.label(psf.cpu().numpy() > 0, structure=[[1, 1, 1]] * 3))
    numbers = torch.from_numpy(labels).to(psf.device)
    places = enumerate(ndimage.find_objects(labels), 1)
    found = [(place, torch.where(numbers == number, psf, 0)) for number, place in places]
    least = _SHARE * float(psf.sum())
    found = sorted((each for each in found if each[1].sum() >= least), key=lambda each: -float(each[1].sum()))
    if len(found) < 2:
        return None
    widest = max(side.stop - side.start for place, _ in found for side in place)
    gaps = [_gap(one, other) for (one, _), (other, _) in itertools.combinations(found, 2)]
    if min(gaps) < _GAP * widest or any(kernel_similarity(found[0][1], piece) < _ALIKE for _, piece in found[1:]):
        return None
    return centred(found[0][1])


def without_copies(piece: Observation, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """The candidates that hold no copies; and of each of the others one copy, judged anew."""
    copies = [one_copy(each.psf) for each in candidates]
    kept = [each for each, copy in zip(candidates, copies, strict=True) if copy is None]
    single = [each.updated(copy) for each, copy in zip(candidates, copies, strict=True) if copy is not None]
    return kept, Candidate.all_of(piece, single)


def _gap(one: tuple[slice, ...], other: tuple[slice, ...]) -> int:
    """Rows or columns between two rectangles, the more of both; negative where they overlap in both."""
    return max(max(a.start, b.start) - min(a.stop, b.stop) for a, b in zip(one, other, strict=True))
