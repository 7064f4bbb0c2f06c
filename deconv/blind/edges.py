"""Which edges a psf is to be estimated from: the strongest, in enough directions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..restore.shrinkage import squared

__all__ = ["strongest", "threshold"]

_DIRECTIONS = 4


def threshold(slopes: Tensor, count: int) -> Tensor:
    """The gradient's magnitude above which there are at least `count` pixels in each of four directions, or all
    that there are; `(N, 1, 1)`.

    slopes: gradients `(2, N, H, W)`. Weak edges tell of noise, and of the details that the last psf has put there;
    but edges of one direction say nothing about the psf along themselves.
    """
    energy = squared(slopes)
    direction = (torch.atan2(slopes[0], slopes[1]) * (_DIRECTIONS / math.pi)).floor() % _DIRECTIONS
    least = torch.full_like(energy[:, :1, 0], math.inf)
    for one in range(_DIRECTIONS):
        there = torch.where(direction == one, energy, -1).flatten(1)
        strong = there.topk(min(count, there.shape[1]), sorted=False).values
        least = torch.minimum(least, torch.where(strong < 0, math.inf, strong).amin(1, keepdim=True))
    return least.sqrt()[..., None]


def strongest(slopes: Tensor, least: Tensor) -> Tensor:
    """`slopes` where their magnitude is at least that, and zero elsewhere."""
    return slopes * (squared(slopes) >= least * least)
