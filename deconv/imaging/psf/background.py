"""The background in a measured psf: a camera's offset and its noise, and what a window cuts off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Background", "measure_background", "on_the_border"]

# The border of the array is judged by the outermost of so many cells along each axis.
_CELLS = 8
_LEAST_SIDE = 8

# A background is the same all around, a psf that its window cuts off is not: for one that falls off like a Gaussian or
# Moffat's profile the middle half of the border's cells differ by more than 0.3 of their median wherever the peak
# is three times as high.
_FLAT, _CONTRAST = 0.2, 3.0

# Parts of the sum that are worth a correction.
_LEAST_SHARE = 0.05

# Values below so many standard deviations of the noise are background.
_NOISE_CUT = 3.0

_MEDIAN = 0.6744897501960817  # of the magnitude of a standard normal variable


@dataclass(frozen=True)
class Background:
    """What lies under a psf.

    Attributes
    ----------
    level : float
        Its mean, in the psf's unit.
    noise : float
        Its standard deviation.
    share : float
        Its part of the sum of the psf as it was given.
    """

    level: float
    noise: float
    share: float

    def removed(self, values: Tensor) -> Tensor:
        """The values without the background: above the level, and zero where only noise is left."""
        above = values - self.level
        return torch.where(above > _NOISE_CUT * self.noise, above, 0)


def measure_background(values: Tensor) -> Background | None:
    """The background of a psf, from the border of its array.

    Parameters
    ----------
    values : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, float64, in any unit.

    Returns
    -------
    Background or None
        None where there is none to speak of, or the border is not that of a background: not flat, or nearly as high
        as the peak.
    """
    if min(values.shape) < _LEAST_SIDE or float(values.clamp_min(0).sum()) == 0:
        return None
    batch = values[None, None]
    pooled = F.adaptive_avg_pool2d(batch, _CELLS) if values.ndim == 2 else F.adaptive_avg_pool3d(batch, _CELLS)
    means = pooled[0, 0]
    outer = torch.ones_like(means, dtype=torch.bool)
    outer[(slice(1, -1),) * means.ndim] = False
    lower, level, upper = torch.quantile(means[outer], torch.tensor([0.25, 0.5, 0.75]).to(means)).tolist()
    noise = _noise(values)
    error = noise / math.sqrt(values.numel() / means.numel())
    flat = upper - lower <= _FLAT * abs(level) + 3 * error
    peak = float(values.max())
    if not flat or peak < _CONTRAST * level or peak - level < 5 * noise:
        return None
    # Where the level is taken off and what is negative cut, 0.4 of the noise are left on the average.
    share = (max(level, 0.0) + 0.4 * noise) * values.numel() / float(values.clamp_min(0).sum())
    return Background(level, noise, min(share, 1.0)) if share >= _LEAST_SHARE else None


def on_the_border(values: Tensor) -> float:
    """What the psf is on its border, in parts of its peak: the median of the least of its sides."""
    sides = [
        float(values.movedim(axis, 0)[end].median())
        for axis, n in enumerate(values.shape)
        if n >= _LEAST_SIDE
        for end in (0, -1)
    ]
    return min(sides, default=0.0) / float(values.max())


def _noise(values: Tensor) -> float:
    """Standard deviation of what differs from pixel to pixel on the border, by second differences."""
    differences = torch.diff(values, n=2, dim=-1).abs()
    inside = tuple(slice(n // _CELLS, n - n // _CELLS) for n in differences.shape)
    outer = torch.ones_like(differences, dtype=torch.bool)
    outer[inside] = False
    return float(differences[outer].median()) / _MEDIAN / math.sqrt(6)
