"""From an observation to hypotheses at full size, in a window that follows the blur."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from .evidence import Hypothesis
from .image_step import Scale
from .observation import Observation
from .pyramid import climb, pyramid
from .starts import Start
from .support import cropped, extent, odd

__all__ = ["Found", "search", "window_around"]

# The scale at which the window is fitted to the blur: so many steps of sqrt(2) below the finest one.
_STEPS, _FACTOR = 2, 2
# The window there, over the extent of the psfs found, and the least at full size.
_ROOM, _LEAST = 1.3, 15


@dataclass(frozen=True)
class Found:
    """What a search ends with.

    Attributes
    ----------
    piece : Observation
        The part of the observation that was looked at.
    scale : Scale
        The finest one.
    hypotheses : list of Hypothesis
        Those that reached it; none where the search was stopped.
    """

    piece: Observation
    scale: Scale
    hypotheses: list[Hypothesis]


def search(
    observation: Observation,
    size: tuple[int, int],
    starts: Sequence[Start],
    report: Callable[[int, Tensor], bool],
    *,
    may_shrink: bool,
) -> Found:
    """The hypotheses of one window, or of the one that those in it need at half the resolution.

    A wide blur in a small window leads to a wrong psf, which need not touch the border; a window that is too large
    costs time, most of it at the finest scales, and lets errors in.

    Parameters
    ----------
    size : tuple of int
        The psf's window, `(kh, kw)`.
    report : callable
        As for `climb`.
    may_shrink : bool
        Whether to go on in a smaller window.
    """
    piece = observation.most_informative(size)
    scales = pyramid(piece, size)
    first = max(len(scales) - _STEPS, 0) if may_shrink else 0
    found = [Hypothesis(start.psf(scales[0].size).to(piece.image), start.weight, ()) for start in starts]
    paths = len(starts) // 2
    if first:
        found = climb(scales[:first], found, report, above=_STEPS, paths=paths)
        if not found:
            return Found(piece, scales[-1], [])
        size = window_around([each.psf for each in found], size)
        piece = observation.most_informative(size)
        scales = pyramid(piece, size)
        near = scales[-_STEPS - 1].size
        found = [Hypothesis(cropped(each.psf, near), each.weight, each.trace) for each in found]
        scales = scales[-_STEPS:]
    return Found(piece, scales[-1], climb(scales, found, report, first=first, paths=paths))


def window_around(psfs: Sequence[Tensor], largest: tuple[int, int]) -> tuple[int, int]:
    """The window at full size that has room for psfs of half the resolution."""
    height, width = (
        min(most, max(_LEAST, odd(_FACTOR * _ROOM * max(extent(psf)[axis] for psf in psfs))))
        for axis, most in enumerate(largest)
    )
    return height, width
