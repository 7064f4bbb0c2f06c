"""Tiles of a photograph at the scales of a pyramid, and where in the frame they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .observation import Observation

__all__ = ["FrameTiles", "place_in_frame"]

# Tiles along the longer side of the frame; along the shorter one as many as make them about square.
_ALONG = 4
# Side of a tile, in distances between tiles and at least; and at most, in windows and in pixels.
_OVERLAP, _WINDOWS, _LARGEST = 1.3, 3.0, 224


@dataclass(frozen=True)
class FrameTiles:
    """Where tiles of one size lie on a frame.

    Attributes
    ----------
    frame : tuple of int
        Height and width of the photograph.
    size : tuple of int
        Of each tile.
    corners : tuple of pairs of int
        The first row and column of each.
    """

    frame: tuple[int, int]
    size: tuple[int, int]
    corners: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, frame: tuple[int, int], window: tuple[int, int]) -> FrameTiles:
        """Tiles that psfs of a window fit into; all of a small photograph, the middles of the cells of a large one."""
        longer = max(frame)
        counts = [max(2, round(_ALONG * n / longer)) for n in frame]
        sides = [
            min(n, max(min(round(_OVERLAP * n / count), _LARGEST), round(_WINDOWS * s)))
            for n, count, s in zip(frame, counts, window, strict=True)
        ]
        rows, columns = (
            [min(max(round((index + 0.5) * n / count - side / 2), 0), n - side) for index in range(count)]
            for n, count, side in zip(frame, counts, sides, strict=True)
        )
        return cls(frame, (sides[0], sides[1]), tuple((row, column) for row in rows for column in columns))

    @property
    def places(self) -> list[tuple[float, float]]:
        """The tiles' middles, as `Projection` counts places."""
        down, right = ((side - 1) / 2 for side in self.size)
        return [place_in_frame(row + down, column + right, self.frame) for row, column in self.corners]

    def cut(self, image: Tensor, factor: float = 1.0) -> Tensor:
        """The tiles of a photograph `(1, 1, H, W)` that is scaled by a factor, `(N, 1, h, w)`."""
        h, w = (round(factor * side) for side in self.size)
        height, width = image.shape[2:]
        places = [(min(round(factor * y), height - h), min(round(factor * x), width - w)) for y, x in self.corners]
        return torch.cat([image[..., y : y + h, x : x + w] for y, x in places])

    def at_scale(self, observation: Observation, factor: float) -> Tensor:
        """The tiles of the observation, smoothed, scaled by a factor of at most 1."""
        image = observation.smooth(observation.image)
        if factor < 1:
            shape = [round(n * factor) for n in image.shape[2:]]
            image = F.interpolate(image, shape, mode="bilinear", antialias=True)
        return self.cut(image, factor)


def place_in_frame(y: float, x: float, frame: tuple[int, int]) -> tuple[float, float]:
    """A pixel, from the middle of the frame, over half of its diagonal."""
    height, width = frame
    half = math.hypot(height, width) / 2
    return (y - (height - 1) / 2) / half, (x - (width - 1) / 2) / half
