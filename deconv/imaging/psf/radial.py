"""Psfs that depend on the distance from the centre alone: each distance on the grid is computed once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .window import offsets

__all__ = ["legendre", "round_about"]

# Distances at a time, and oscillations of an integrand over all nodes: together they bound the memory.
_AT_ONCE, _MOST_OSCILLATIONS = 1024, 4000


def round_about(profile: Callable[[Tensor], Tensor], size: tuple[int, int]) -> Tensor:
    """`profile(r)` at the pixels of the largest odd grid in `size`, r their distances from the centre in pixels.

    `profile` takes distances `(n,)` and gives `(..., n)`; the result is `(..., h, w)`.
    """
    row, column = offsets(size)
    squares, place = torch.unique(row**2 + column**2, return_inverse=True)
    parts = [profile(radii) for radii in squares.sqrt().split(_AT_ONCE)]
    return torch.cat(parts, -1)[..., place]


def legendre(upper: float, oscillations: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights of a rule for integrals over [0, upper], Gauss's on each of many equal parts.

    Exact to rounding for a smooth integrand that oscillates no more often than said.
    """
    if oscillations > _MOST_OSCILLATIONS:
        raise ValueError(
            f"size: a window too large for so narrow a psf, {oscillations:.0f} oscillations of its integrand"
        )
    node, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(16))
    parts = 4 + math.ceil(oscillations / 3)
    width = upper / parts
    start = width * torch.arange(parts, dtype=torch.float64)
    return (start[:, None] + (node + 1) * width / 2).flatten(), (weight * width / 2).repeat(parts)
