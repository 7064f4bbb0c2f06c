"""Derivatives on a torus, in any number of dimensions: the analysis operators of penalties.

Each is a stack of filters whose responses are penalised together, an isotropic group: all first derivatives, or all
second ones. `analyse` returns the responses along a new leading axis, `adjoint` is its transpose, `power` the sum of
the filters' squared transfer functions, so that ``adjoint(analyse(x))`` has the spectrum ``power * x``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["Gradient", "Hessian", "Identity"]


class Identity:
    """The image itself, as a stack of one."""

    def __init__(self, space: int = 2) -> None:
        self.space = space

    def analyse(self, x: Tensor) -> Tensor:
        return x.unsqueeze(0)

    def adjoint(self, v: Tensor) -> Tensor:
        return v[0]

    def power(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return like.new_ones((1,) * self.space)


class Gradient:
    """Forward differences ``x[p + 1] - x[p]`` along each of the last `space` axes."""

    def __init__(self, space: int = 2) -> None:
        self.axes = tuple(range(-space, 0))

    def parts(self, x: Tensor) -> list[Tensor]:
        return [_forward(x, axis) for axis in self.axes]

    def analyse(self, x: Tensor) -> Tensor:
        return torch.stack(self.parts(x))

    def adjoint(self, v: Iterable[Tensor]) -> Tensor:
        return _total(_backward(part, axis) for part, axis in zip(v, self.axes, strict=True))

    def power(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return _laplacian(shape, like)


class Hessian:
    """Second differences along each pair of the last `space` axes; mixed ones count twice, as in its norm."""

    def __init__(self, space: int = 2) -> None:
        self.axes = tuple(range(-space, 0))
        self.pairs = [(a, b) for a in self.axes for b in self.axes if a <= b]

    def analyse(self, x: Tensor) -> Tensor:
        slopes = {axis: _forward(x, axis) for axis in self.axes}
        return torch.stack(
            [
                slopes[a] - slopes[a].roll(1, a) if a == b else math.sqrt(2) * _forward(slopes[a], b)
                for a, b in self.pairs
            ]
        )

    def adjoint(self, v: Tensor) -> Tensor:
        # What passes through the same first difference goes back through it together.
        gathered: dict[int, Tensor] = {}
        for part, (a, b) in zip(v, self.pairs, strict=True):
            before = part - part.roll(-1, a) if a == b else math.sqrt(2) * _backward(part, b)
            gathered[a] = gathered[a] + before if a in gathered else before
        return _total(_backward(part, axis) for axis, part in gathered.items())

    def power(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return _laplacian(shape, like).square()


def _forward(x: Tensor, axis: int) -> Tensor:
    return x.roll(-1, axis).sub_(x)


def _backward(x: Tensor, axis: int) -> Tensor:
    """Transpose of `_forward`."""
    return x.roll(1, axis).sub_(x)


def _total(parts: Iterable[Tensor]) -> Tensor:
    """Their sum; each is needed no longer than it takes to add it."""
    return functools.reduce(torch.add, parts)


def _laplacian(shape: Sequence[int], like: Tensor) -> Tensor:
    """Spectrum of minus the Laplacian, on the grid of the real FFT."""
    total = torch.zeros((), dtype=torch.float64, device=like.device)
    for axis, n in enumerate(shape):
        count = n // 2 + 1 if axis == len(shape) - 1 else n
        frequency = torch.arange(count, dtype=torch.float64, device=like.device) * (2 * math.pi / n)
        total = total.unsqueeze(-1) + (2 - 2 * frequency.cos())
    return total.to(like.dtype)
