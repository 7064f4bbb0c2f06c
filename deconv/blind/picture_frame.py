"""A frame around a picture: white margins, letterbox bars, a drawn border. It was put there after the blur, so that its
edge is one that no blur has made, the strongest of all, and misleads the estimation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

__all__ = ["NO_FRAME", "PictureFrame", "find_frame"]

# A frame has lines, parallel to a side, that are of one value but for so much, as a share of the picture's range; and
# it has so many layers at most, each of so many lines, as a share of the side, that leave so much of it together. A
# line drawn around the picture has so many pixels at most, and such a contrast at least.
_FLAT, _LAYERS, _WIDEST, _LEAST_LEFT, _THICKEST, _CONTRAST = 0.025, 4, 0.3, 0.4, 8, 0.25
# Across its edge, which resampling may have spread over a line, half of all pixels differ by so much, as a share of the
# range, and so many times as much as from there to as many lines farther: what a blur has passed over goes on changing.
# In 100 photographs of bsd/train, sharp or under a disk of radius 2, no side has such an edge.
_STEP, _SHARPER = 0.04, 4.0
# A line is still one of the edge where it is so far, as a share of the step, from the next.
_BETWEEN = 0.25


@dataclass(frozen=True)
class PictureFrame:
    """How many lines of a picture belong to a frame around it.

    Attributes
    ----------
    top, bottom, left, right : int
        In pixels; 0 where there is none.
    """

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.bottom, self.left, self.right))

    @property
    def words(self) -> str:
        """What is left out, in half a sentence; empty without a frame."""
        sides = {"above": self.top, "below": self.bottom, "left": self.left, "right": self.right}
        said = ", ".join(f"{side} {width}" for side, width in sides.items() if width)
        return f"left out is a sharp frame, in pixels: {said}" if said else ""

    def within(self, shape: Sequence[int]) -> tuple[slice, slice]:
        """The rows and columns of an image `(H, W)` that are inside of it."""
        height, width = shape
        return slice(self.top, height - self.bottom), slice(self.left, width - self.right)

    def inside(self, image: Tensor) -> Tensor:
        """What of an image `(..., H, W)` is inside of it."""
        return image[(..., *self.within(image.shape[-2:]))]

    def around(self, inside: Tensor, image: Tensor) -> Tensor:
        """The image with another inside."""
        if not self:
            return inside
        whole = image.to(inside).clone()
        self.inside(whole).copy_(inside)
        return whole


NO_FRAME = PictureFrame()


def find_frame(image: Tensor, *, least: int = 1) -> PictureFrame:
    """The frame around a picture, if there is one.

    Lines at the border that are of one value, up to an edge along all of the side that is sharper than what follows
    inside: rather none than what may be a sky or a wall. Layers, such as a margin and a line drawn around the picture,
    are taken off one after another.

    Parameters
    ----------
    image : Tensor
        `(1, C, H, W)`.
    least : int
        Pixels on each side that must be left inside.

    Returns
    -------
    PictureFrame
    """
    grey = image.detach()[0].float().mean(0).cpu()
    span = float(grey.max() - grey.min())
    if not span > 0:
        return NO_FRAME
    grey = grey / span
    widths = [0, 0, 0, 0]
    for _ in range(_LAYERS):
        found = [_layer(lines) for lines in _from_each_side(PictureFrame(*widths).inside(grey))]
        more = [width + layer for width, layer in zip(widths, found, strict=True)]
        left = PictureFrame(*more).inside(grey).shape
        if not any(found) or any(n < max(least, _LEAST_LEFT * m) for n, m in zip(left, grey.shape, strict=True)):
            break
        widths = more
    return PictureFrame(*widths)


def _from_each_side(grey: Tensor) -> tuple[Tensor, ...]:
    """Lines parallel to the top, bottom, left and right side, the outermost first."""
    return grey, grey.flip(0), grey.T, grey.T.flip(0)


def _layer(lines: Tensor) -> int:
    """How many of the first lines are of one value, and perhaps a line drawn along them, up to a sharp edge."""
    most = int(_WIDEST * len(lines))
    spread, mean = lines[: most + 1].std(1, correction=0), lines[: most + 1].mean(1)
    flat = (spread <= _FLAT) & ((mean - mean[0]).abs() <= _FLAT)
    count = int(flat.cumprod(0).sum())
    for width in range(count, max(count - 2, 0), -1):
        if width <= most and (edge := _edge(lines, width) or _edge(lines, width + _drawn(lines, width))):
            return edge
    return 0


def _edge(lines: Tensor, width: int) -> int:
    """Where the inside begins if there is a sharp edge after so many lines, 0 if there is none."""
    if not 0 < width < len(lines) - 3:
        return 0
    step = _difference(lines, width - 1, width + 1)
    if step < max(_STEP, _SHARPER * _difference(lines, width + 1, width + 3)):
        return 0
    return width + (_difference(lines, width, width + 1) > _BETWEEN * step)


def _drawn(lines: Tensor, first: int) -> int:
    """How many lines from the first on are of quite another value, but for their ends."""
    there = lines[first : first + _THICKEST]
    value = there[:1].median()
    if (lines[:1].median() - value).abs() < _CONTRAST:
        return 0
    return int(((there - value).abs().median(1).values <= _FLAT).long().cumprod(0).sum())


def _difference(lines: Tensor, first: int, second: int) -> float:
    """Between two lines, the median."""
    return float((lines[first] - lines[second]).abs().median())
