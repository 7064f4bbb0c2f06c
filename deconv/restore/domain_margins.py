"""How far a padded domain extends beyond the frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from ..imaging.convolution import fast_length

__all__ = ["margins_around", "reach_of"]

# Pixels between opposite borders of the frame, across the periodic border of the domain: at least, and in widths of the
# psf. The borders must not see each other, neither through what priors look at nor through the inverse of the blur.
# A psf wider than a quarter of the frame gets less and less, down to the least where it is as large as the frame: all
# pixels see each other there anyway.
_LEAST_CLEARANCE, _CLEARANCE = 16, 2.0

# What of the psf's light may be left out on either side, when it is asked how far the psf reaches.
_FAINT = 1e-6

Margins = list[tuple[int, int]]


def margins_around(frame: Sequence[int], reach: Margins, *, apart: bool) -> Margins:
    """Margins that the latent image is seen in, and between opposite borders of the frame as much as keeps them apart,
    up to a size that is quick to transform.

    Parameters
    ----------
    frame : sequence of int
        Its size along the spatial axes.
    reach : list of pair of int
        See `reach_of`.
    apart : bool
        See `deconv.restore.padded_domain.PaddedDomain`.
    """
    margins = []
    for n, (before, after) in zip(frame, reach, strict=True):
        least = n + before + after + (_clearance(before + after, n) if apart else 0)
        margins.append((before, fast_length(least) - n - before))
    return margins


def reach_of(psfs: Sequence[Tensor], space: int) -> Margins:
    """How far the latent image is seen beyond the frame, one pair per spatial axis, by any of the psfs: what they have
    there counts, and not the size of their windows.

    Parameters
    ----------
    psfs : sequence of Tensor
        Each of any size along the last axes, behind any others.
    space : int
        Number of spatial axes.
    """
    each = [_reach(psf, space) for psf in psfs]
    return [
        (max(before), max(after)) for before, after in (zip(*along, strict=True) for along in zip(*each, strict=True))
    ]


def _clearance(width: int, frame: int) -> int:
    """How many pixels to add for a psf that reaches over so many, around a frame of so many."""
    return max(_LEAST_CLEARANCE, math.ceil(_CLEARANCE * min(width, (frame - width) / 3)))


def _reach(psf: Tensor, space: int) -> Margins:
    light = psf.detach().double().abs()
    light = light / light.sum(tuple(range(-space, 0)), keepdim=True)
    reach = []
    for axis in range(psf.ndim - space, psf.ndim):
        others = [a for a in range(psf.ndim - space, psf.ndim) if a != axis]
        profile = light.sum(others).reshape(-1, psf.shape[axis])
        up_to, from_on = profile.cumsum(1), profile.flip(1).cumsum(1).flip(1)
        seen = ((up_to > _FAINT) & (from_on > _FAINT)).any(0).nonzero().flatten().tolist()
        centre = (psf.shape[axis] - 1) // 2
        reach.append((max(seen[-1] - centre, 0), max(centre - seen[0], 0)))
    return reach
