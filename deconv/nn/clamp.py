"""Clamping with a slope that is chosen at the bounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["clamp_closed"]


def clamp_closed(x: Tensor, low: float = -math.inf, high: float = math.inf, *, inside: Tensor | None = None) -> Tensor:
    """`x` clamped to ``[low, high]``, with slope one on the closed interval and zero beyond.

    At the bounds, where pixels are black or white and constraints active, the slope of `torch.clamp` depends on the
    release: one up to 2.13, zero or one half in 2.14.

    Parameters
    ----------
    x : Tensor
        Any shape.
    low, high : float
        Bounds.
    inside : Tensor, optional
        Where the slope is one, if it is not to be decided by values that rounding may have taken beyond a bound.

    Returns
    -------
    Tensor
        In the shape of `x`.
    """
    if not torch.is_grad_enabled():
        return x.clamp(low, high)
    clamped = x.detach().clamp(low, high)
    if inside is None:
        return torch.where((x >= low) & (x <= high), x, clamped)
    return torch.where(inside, x + (clamped - x.detach()), clamped)
