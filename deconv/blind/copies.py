"""Psfs that hold several copies of one.

Where a picture repeats, as lines of text and tiles do, the blur of one psf is nearly that of several copies of it, so
many lines apart; and the latent image that goes with these is a ghost, sparser than the picture. A camera that jumped
from one place to another leaves such a psf, too, but a picture that does not go on repeating: at the distance of as
many steps from copy to copy as there are copies, nothing that they have blurred is alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from ..imaging.psf.moments import centroid
from .evidence import Candidate
from .metrics import kernel_similarity
from .observation import Observation
from .support import centred

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Copies", "repeats", "without_copies"]

# Pieces of a psf with at least such a share of its light are copies where the similarity of each to the largest is at
# least this, and the gap between any two so many times as wide as the widest of them. Of 217 psfs found for 44 pages
# and 36 photographs eight were so, all of them of pages and all wrong; of the others' pieces, those that were as alike
# lay less than half as far apart, and those as far apart were not so alike, at most 0.6.
_SHARE, _ALIKE, _GAP = 0.1, 0.9, 0.8

# The autocorrelation of the gradient at that distance from which on a picture repeats, and how far around it is looked
# for: 0.71 to 0.91 on the pages, at most 0.05 in photographs of which two images were blurred into one.
_REPEATS, _AROUND = 0.3, 2


@dataclass(frozen=True)
class Copies:
    """What a psf is made of.

    Attributes
    ----------
    one : Tensor
        The largest copy, centred in the same window.
    count : int
        How many there are.
    step : tuple of float
        Rows and columns from the largest to the next.
    """

    one: Tensor
    count: int
    step: tuple[float, float]

    @classmethod
    def of(cls, psf: Tensor) -> Copies | None:
        """Those that a psf `(kh, kw)` is made of; None if it is not so."""
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
        first, second = (centroid(piece / piece.sum()) for _, piece in found[:2])
        down, right = (second - first).tolist()
        return cls(centred(found[0][1]), len(found), (down, right))


def repeats(image: Tensor, distance: Sequence[float]) -> bool:
    """Whether an image `(1, 1, H, W)` is alike to itself so many rows and columns away."""
    gradients = torch.stack(
        [image[0, 0, 1:, :-1] - image[0, 0, :-1, :-1], image[0, 0, :-1, 1:] - image[0, 0, :-1, :-1]]
    )
    size = gradients.shape[1:]
    if any(abs(d) + _AROUND >= n for d, n in zip(distance, size, strict=True)):
        return False
    grid = [2 * n for n in size]
    power = torch.fft.rfft2(gradients, s=grid).abs().square().sum(0)
    pairs = torch.fft.rfft2(torch.ones_like(gradients[0]), s=grid).abs().square()
    likeness, counts = (torch.fft.irfft2(each, s=grid) for each in (power, pairs))
    rows, columns = (
        torch.arange(round(d) - _AROUND, round(d) + _AROUND + 1, device=image.device) % n
        for d, n in zip(distance, grid, strict=True)
    )
    near = (rows[:, None], columns[None])
    return float((likeness[near] / counts[near]).max()) >= _REPEATS * float(likeness[0, 0] / counts[0, 0])


def without_copies(piece: Observation, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """The candidates that hold no copies, as far as the picture repeats; and of each of the others one copy, judged
    anew."""
    whole, single = [], []
    for each in candidates:
        copies = Copies.of(each.psf)
        if copies is not None and repeats(piece.image, [copies.count * step for step in copies.step]):
            single.append(each.updated(copies.one))
        else:
            whole.append(each)
    return whole, Candidate.all_of(piece, single)


def _gap(one: tuple[slice, ...], other: tuple[slice, ...]) -> int:
    """Rows or columns between two rectangles, the more of both; negative where they overlap in both."""
    return max(max(a.start, b.start) - min(a.stop, b.stop) for a, b in zip(one, other, strict=True))
