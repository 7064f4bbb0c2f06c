"""A psf for every place of an image."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .arguments import Space, spatial_axes

__all__ = ["PsfField"]


class PsfField:
    """One psf, a grid of them, or a function of the place.

    Parameters
    ----------
    psf : array, Tensor or callable
        `(kh, kw)`; `(gy, gx, kh, kw)`, at the centres of equal patches; or ``psf(y, x)``, in pixels. For volumes with
        one more axis.

    Attributes
    ----------
    space : int
        Number of spatial axes, 2 or 3.
    grid : tuple of int or None
        How many patches there are along each axis.
    varies : bool
        Whether there may be another psf at another place.
    """

    def __init__(self, psf: Any) -> None:
        self._psf = psf
        self._function: Callable[..., Any] | None = None
        self.grid: tuple[int, ...] | None = None
        if callable(psf) and not hasattr(psf, "ndim"):
            self._function = psf
            count = len(inspect.signature(psf).parameters)
            if count not in (2, 3):
                raise ValueError(
                    f"psf: expected a function of y and x, or of z, y and x, given one of {count} arguments"
                )
            self.space: Space = 2 if count == 2 else 3
        elif getattr(psf, "ndim", 0) in (4, 6):
            self.space = 2 if psf.ndim == 4 else 3
            self.grid = tuple(psf.shape[: self.space])
            self._psf = torch.as_tensor(psf)
        else:
            self.space = spatial_axes(psf)
        self.varies = self.grid is not None or self._function is not None

    def __call__(self, place: Sequence[float], frame: Sequence[int]) -> Any:
        """The psf at a place of the frame, both in pixels."""
        if self._function is not None:
            return self._function(*place)
        if self.grid is None:
            return self._psf
        neighbours = []
        for p, n, count in zip(place, frame, self.grid, strict=True):
            position = min(max((p + 0.5) * count / n - 0.5, 0.0), count - 1.0)
            low = min(int(position), max(count - 2, 0))
            share = position - low
            neighbours.append([(low, 1 - share), (min(low + 1, count - 1), share)])
        total = torch.zeros_like(self._psf[(0,) * self.space])
        for corner in itertools.product(*neighbours):
            index, shares = zip(*corner, strict=True)
            total = total + math.prod(shares) * self._psf[index]
        return total

    def size(self, frame: Sequence[int]) -> tuple[int, ...]:
        """Size of the psf in the middle of the frame."""
        return tuple(self([(n - 1) / 2 for n in frame], frame).shape[-self.space :])
