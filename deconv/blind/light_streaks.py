"""Light streaks: points of light in the dark, which a blur draws out into pictures of its psf.

A search goes by edges, and a light that is clipped at white misleads it: its edges are no blur of anything. But where
several lights have become streaks of one and the same shape, that shape is the psf.

Reference: Hu, Cho, Wang and Yang, "Deblurring low-light images with light streaks", CVPR 2014, where they guide the
estimation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .support import centred, clean

__all__ = ["LightStreak", "common_streak"]

# Levels, as shares of the brightest light above the dark, above which connected pixels are looked at. The dark is the
# median, and no night is brighter than this share of its lights.
_LEVELS, _NIGHT = (0.5, 0.2, 0.08, 0.03), 0.15
# The least length of a streak, in pixels, and the margin around it that must be dark, as a share of it and at least.
_LEAST_LENGTH, _MARGIN, _LEAST_MARGIN = 11, 0.2, 3
# It is dark where less is left than this share of the streak's greatest value, in so many of the margin's pixels.
_DARK, _MOSTLY = 0.12, 0.9
# What is fainter in a streak, relative to its greatest value, is taken for dark; and how much of a square around it a
# point of light fills at most.
_FAINT, _THIN = 0.1, 0.35
# So many streaks of each level are looked at, and compared in all; those of two places agree if they are so similar;
# and with so many one must agree. Of 60 photographs of bsd/train that is so in one, of 16 simulated nights in 9.
_LOOKED_AT, _COMPARED, _ALIKE, _LEAST_AGREEING = 100, 40, 0.85, 2


@dataclass(frozen=True)
class LightStreak:
    """An isolated bright thing, with dark around it.

    Attributes
    ----------
    psf : Tensor
        What it looks like, centred, of odd sizes, `(kh, kw)`.
    rows, columns : tuple of int
        From where to where it is with its dark margin.
    filled : float
        How much of a square around it it fills.
    """

    psf: Tensor
    rows: tuple[int, int]
    columns: tuple[int, int]
    filled: float

    def is_elsewhere(self, other: LightStreak) -> bool:
        """Whether another one is a different light, and not part of the same."""
        return max(abs(a - b) for a, b in zip(self.middle, other.middle, strict=True)) > max(self.psf.shape) / 2

    @property
    def middle(self) -> tuple[float, float]:
        """Row and column."""
        return sum(self.rows) / 2, sum(self.columns) / 2


def common_streak(light: Tensor, largest: tuple[int, int]) -> LightStreak | None:
    """A streak of the shape that most lights of a picture share, if they do: the thinnest, of the smallest light.

    Parameters
    ----------
    light : Tensor
        Linear light, `(H, W)`.
    largest : tuple of int
        The greatest window of a psf, `(kh, kw)`.

    Returns
    -------
    LightStreak or None
    """
    found = _streaks(light.detach().cpu().float().numpy(), largest)
    if len(found) <= _LEAST_AGREEING:
        return None
    size = max(f.psf.shape[0] for f in found), max(f.psf.shape[1] for f in found)
    spectra = torch.fft.rfft2(torch.stack([_padded(f.psf, size) for f in found]), s=[2 * n for n in size])
    norms = torch.stack([f.psf.norm() for f in found])
    most: list[LightStreak] = []
    for one, streak in enumerate(found):
        likeness = torch.fft.irfft2(spectra[one].conj() * spectra).flatten(1).amax(1) / (norms[one] * norms)
        agreeing = [streak]
        for other, like in zip(found, likeness, strict=True):
            if like >= _ALIKE and all(each.is_elsewhere(other) for each in agreeing):
                agreeing.append(other)
        most = max(most, agreeing, key=len)
    return min(most, key=lambda streak: streak.filled) if len(most) > _LEAST_AGREEING else None


def _streaks(values: np.ndarray, largest: tuple[int, int]) -> list[LightStreak]:
    """The thinnest of all isolated bright things."""
    from scipy import ndimage

    dark, peak = float(np.median(values)), float(values.max())
    if not 0 <= dark < _NIGHT * peak:
        return []
    found = []
    for level in _LEVELS:
        above = values > dark + level * (peak - dark)
        labels, _ = cast("tuple[np.ndarray, int]", ndimage.label(above, np.ones((3, 3))))
        boxes = [box for box in ndimage.find_objects(labels) if _fits(box, largest)]
        found += [streak for box in boxes[:_LOOKED_AT] if (streak := _isolated(values, box)) is not None]
    return sorted(found, key=lambda streak: streak.filled)[:_COMPARED]


def _fits(box: tuple[slice, ...], largest: tuple[int, int]) -> bool:
    size = [part.stop - part.start for part in box]
    return max(size) >= _LEAST_LENGTH and all(n <= most for n, most in zip(size, largest, strict=True))


def _isolated(values: np.ndarray, box: tuple[slice, ...]) -> LightStreak | None:
    """What is in a box, if it is thin and its margin dark."""
    margin = max(_LEAST_MARGIN, round(_MARGIN * max(part.stop - part.start for part in box)))
    rows, columns = ((part.start - margin, part.stop + margin) for part in box)
    if min(rows[0], columns[0]) < 0 or rows[1] > values.shape[0] or columns[1] > values.shape[1]:
        return None
    patch = values[slice(*rows), slice(*columns)]
    border = np.concatenate([patch[0], patch[-1], patch[:, 0], patch[:, -1]])
    above = patch - np.median(border)
    top = above.max()
    if not np.quantile(np.abs(border - np.median(border)), _MOSTLY) < _DARK * top:
        return None
    weights = np.pad(np.where(above > _FAINT * top, above, 0), [(0, 1 - n % 2) for n in above.shape])
    psf = centred(clean(torch.from_numpy(weights), cut=0.0))
    places = psf.nonzero()
    length = int((places.amax(0) - places.amin(0)).max()) + 1
    filled = len(places) / length**2
    return LightStreak(psf, rows, columns, filled) if length >= _LEAST_LENGTH and filled < _THIN else None


def _padded(psf: Tensor, size: tuple[int, int]) -> Tensor:
    top, left = ((n - m) // 2 for n, m in zip(size, psf.shape, strict=True))
    return F.pad(psf, (left, left, top, top))
