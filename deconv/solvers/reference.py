"""Raster substitution: the definition of the solve, one pixel after the other.

Slow on purpose. Every other solver is tested against this one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from .anchor import anchor_of, invert_anchor
from .geometry import Corner, Support, flip, padding

__all__ = ["solve"]


def solve(y: Tensor, weight: Tensor, *, corner: Corner, support: Support, groups: int) -> Tensor:
    """Solve ``A x = y``: in raster order, ``x[p] = T^-1 (y[p] - sum over q != anchor of W[q] x[p - q])``.

    See `deconv.solvers.solve` for the arguments.
    """
    batch, channels, height, width = y.shape
    _, inner, kh, kw = weight.shape
    left, right, top, _ = padding(kh, kw, support)
    inverse = invert_anchor(weight, support, groups)
    others = weight.clone()
    anchor_of(others, support, groups).zero_()
    others = others.reshape(groups, inner, inner * kh * kw)

    y = flip(y, corner)
    x = pad(torch.zeros_like(y), (left, right, top, 0))
    for i in range(height):
        for j in range(width):
            seen = x[:, :, i : i + kh, j : j + kw].reshape(batch, groups, inner * kh * kw)
            rest = y[:, :, i, j].reshape(batch, groups, inner) - torch.einsum("goi,bgi->bgo", others, seen)
            x[:, :, i + top, j + left] = torch.einsum("goi,bgi->bgo", inverse, rest).reshape(batch, channels)
    return flip(x[:, :, top:, left : left + width], corner).contiguous()
