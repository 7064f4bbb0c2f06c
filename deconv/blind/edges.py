"""Which edges a psf is to be estimated from: the strongest, in enough directions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["strongest", "threshold"]

_DIRECTIONS = 4


def threshold(slopes: Tensor, count: int) -> float:
    """The gradient's magnitude above which there are at least `count` pixels in each of four directions, or all
    that there are.

    slopes: gradients `(2, H, W)`. Weak edges tell of noise, and of the details that the last psf has put there;
    but edges of one direction say nothing about the psf along themselves.
    """
    magnitude = slopes.square().sum(0)
    direction = (torch.atan2(slopes[0], slopes[1]) * (_DIRECTIONS / math.pi)).floor() % _DIRECTIONS
    least = []
    for one in range(_DIRECTIONS):
        there = magnitude[direction == one]
        if there.numel():
            least.append(there.topk(min(count, there.numel())).values[-1])
    return float(torch.stack(least).min().sqrt())


def strongest(slopes: Tensor, least: float) -> Tensor:
    """`slopes` where their magnitude is at least that, and zero elsewhere."""
    return slopes * (slopes.square().sum(0) >= least * least)
