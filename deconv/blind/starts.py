"""Where the search begins: small psfs at the coarsest scale, and shapes of paths where a psf shows its shape first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.psf import camera_shake, polyline_shake
from .support import centred

__all__ = ["STARTS", "Start", "path_shapes"]


@dataclass(frozen=True)
class Start:
    """Where to begin.

    Attributes
    ----------
    weight : float
        Prior weight of the image step, in units of the contrast squared.
    direction : tuple of int
        From one pixel of the first psf to the other, `(rows, columns)`.
    """

    weight: float
    direction: tuple[int, int]

    def psf(self, size: tuple[int, int]) -> Tensor:
        """Two pixels of one half, in a window of that size; one pixel along an axis that has no more."""
        psf = torch.zeros(size)
        row, column = ((s - 1) // 2 for s in size)
        down, right = (step if s > 1 else 0 for step, s in zip(self.direction, size, strict=True))
        psf[row, column] = 0.5
        psf[row + down, column + right] += 0.5
        return psf


# The best first, for those who want few.
STARTS = tuple(
    Start(weight, direction)
    for weights in ((0.04, 0.02), (0.08, 0.16))
    for direction in ((0, 1), (-1, 1), (1, 0), (1, 1))
    for weight in weights
)

# Smooth paths, lines, and lines with corners in turn; half of them fill the window, the others this share of it.
_SHAPES = (
    lambda size, seed: polyline_shake(size, corners=seed % 2, seed=seed),
    lambda size, seed: camera_shake(size, seed=seed),
    lambda size, seed: polyline_shake(size, corners=2, seed=seed),
)
_SMALLER = 0.7


def path_shapes(size: tuple[int, int], count: int, *, seed: int = 0) -> list[Tensor]:
    """So many psfs of random paths in a window of that size, the same ones for the same seed."""
    shapes = []
    for index in range(count):
        share = _SMALLER if index // len(_SHAPES) % 2 else 1.0
        extent = [max(1, 2 * round((share * s - 1) / 2) + 1) for s in size]
        psf = _SHAPES[index % len(_SHAPES)]((extent[0], extent[1]), seed + index)
        down, right = ((s - e) // 2 for s, e in zip(size, extent, strict=True))
        shapes.append(centred(F.pad(psf, (right, right, down, down))))
    return shapes
