r"""Proximal operators of sparse penalties.

Each acts on the length of a group of filter responses and keeps its direction: given a stack v along the first axis, it
returns ``factor(|v|) * v``, the minimiser over z of

.. math:: t\,\phi(|z|) + \tfrac12 \|z - v\|^2 .
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..ops.lasting import lasting

__all__ = ["Shrinkage", "factor_table", "hard", "length", "power", "soft", "squared"]


def length(v: Tensor) -> Tensor:
    """Euclidean length over the first axis, with a gradient of zero, not NaN, where it vanishes."""
    if len(v) == 1:
        return v[0].abs()
    return squared(v).clamp_min(torch.finfo(v.dtype).tiny).sqrt()


def squared(v: Tensor | Sequence[Tensor]) -> Tensor:
    """Squared length over the first axis."""
    total = v[0].square()
    for part in v[1:]:
        total = torch.addcmul(total, part, part)
    return total


def soft(v: Tensor, t: Tensor | float) -> Tensor:
    """Proximal operator of ``phi(r) = r``."""
    r = length(v)
    return (1 - t / r.clamp_min(torch.finfo(v.dtype).tiny)).clamp_min(0) * v


def hard(v: Tensor, t: Tensor | float) -> Tensor:
    """Proximal operator of ``phi(r) = 1 if r > 0 else 0``."""
    return (squared(v) > 2 * t) * v


def power(v: Tensor, t: Tensor | float, exponent: float) -> Tensor:
    r"""Proximal operator of ``phi(r) = r ** exponent``, for an exponent in (0, 1].

    Measured in units of :math:`t^{1/(2-a)}`, a being the exponent, lengths shrink in the same way for all t, and all
    below one unit to zero. So one table serves, over the inverse of the length, from infinity down to one unit.
    """
    table = factor_table(exponent).to(v)
    r = length(v)
    unit = _unit(torch.as_tensor(t, dtype=v.dtype, device=v.device), exponent)
    position = unit * (len(table) - 2) / torch.maximum(r, unit)
    left = position.detach().int()
    index = left.flatten()
    low, high = (each.index_select(0, index).view_as(r) for each in (table, table[1:]))
    return torch.lerp(low, high, position - left) * v


@functools.lru_cache
@lasting
def factor_table(exponent: float) -> Tensor:
    """Factor for lengths of infinity, 4096/1, 4096/2, ..., 4096/4096 units, and one that is never reached.

    Interpolation adds 1e-4 at most, except in the one interval in which the factor jumps to zero.
    """
    r = 4096 / torch.arange(1, 4097, dtype=torch.float64)
    # The minimum that is not at zero is the larger root of z - r + a z^(a-1); Newton's method from r finds it.
    # Where there is none the iteration leaves the positive numbers.
    z = r.clone()
    for _ in range(50):
        slope = exponent * z.clamp_min(1e-300) ** (exponent - 1)
        curvature = 1 + (exponent - 1) * slope / z.clamp_min(1e-300)
        z = (z - (z - r + slope) / curvature).clamp_min(0)
    wins = z**exponent + (z - r).square() / 2 < r.square() / 2
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.where(wins & (z > 0), z / r, 0), torch.zeros(1)])


@dataclass(frozen=True)
class Shrinkage:
    r"""The proximal operator of :math:`w\,\phi(|z|)`, as data, so that it can be compiled.

    Attributes
    ----------
    kind : str
        "soft", "hard" or "power".
    weight : Tensor or float
        w, broadcasts against the image.
    exponent : float
        That of "power".
    """

    kind: Literal["soft", "hard", "power"]
    weight: Tensor | float
    exponent: float = 1.0

    def __call__(self, v: Tensor, t: Tensor | float) -> Tensor:
        r"""The minimiser over z of :math:`t w\,\phi(|z|) + \tfrac12 |z - v|^2`, on a stack of responses."""
        if self.kind == "power":
            return power(v, t * self.weight, self.exponent)
        return (soft if self.kind == "soft" else hard)(v, t * self.weight)

    def threshold(self, t: Tensor | float) -> Tensor:
        """What lengths are compared with: :math:`(t w)^{1 / (2 - a)}` for the power a, t w for the others."""
        strength = torch.as_tensor(t * self.weight)
        return _unit(strength, self.exponent) if self.kind == "power" else strength


def _unit(t: Tensor, exponent: float) -> Tensor:
    return (t ** (1 / (2 - exponent))).clamp_min(torch.finfo(t.dtype).tiny)
