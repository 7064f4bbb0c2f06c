"""A psf for every place of an image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from .problem import spatial_axes

__all__ = ["PsfField"]


class PsfField:
    """One psf, a grid of them, or a function of the place.

    psf: `(kh, kw)`; `(gy, gx, kh, kw)`, at the centres of equal patches; or a callable ``psf(y, x)``, in pixels. For
        volumes with one more axis, and then ``psf(z, y, x)``, which says so by what it returns.
    """

    def __init__(self, psf: Any) -> None:
        self.psf = psf
        self.grid = None
        if callable(psf) and not hasattr(psf, "ndim"):
            self.space = 2
            return
        self.space = 3 if getattr(psf, "ndim", 2) in (3, 6) else 2
        if getattr(psf, "ndim", 0) == 2 * self.space:
            self.grid = tuple(psf.shape[: self.space])
            self.psf = torch.as_tensor(psf)
        else:
            spatial_axes(psf)

    @property
    def varies(self) -> bool:
        """Whether there may be another psf at another place."""
        return self.grid is not None or (callable(self.psf) and not hasattr(self.psf, "ndim"))

    def __call__(self, place: Sequence[float], frame: Sequence[int]) -> Any:
        """The psf at a place of the frame, both in pixels."""
        if self.grid is None:
            return self.psf(*place) if callable(self.psf) and not hasattr(self.psf, "ndim") else self.psf
        corners = []
        for p, n, count in zip(place, frame, self.grid, strict=True):
            position = min(max((p + 0.5) * count / n - 0.5, 0.0), count - 1.0)
            low = min(int(position), max(count - 2, 0))
            share = position - low
            corners.append([(low, 1 - share), (min(low + 1, count - 1), share)])
        total = torch.zeros_like(self.psf[(0,) * self.space])
        for corner in itertools.product(*corners):
            weight = 1.0
            for _, share in corner:
                weight *= share
            total = total + weight * self.psf[tuple(index for index, _ in corner)]
        return total

    def size(self, frame: Sequence[int]) -> tuple[int, ...]:
        """Size of the psf in the middle of the frame."""
        return tuple(self([(n - 1) / 2 for n in frame], frame).shape[-self.space :])
