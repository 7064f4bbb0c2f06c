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

__all__ = ["Found", "search", "shown_at", "window_around"]

# The window is fitted to the blur where it has at most so many pixels, so many steps of sqrt(2) below the finest scale
# at least: a larger one would cost the more, the less of it is needed.
_SHOWN, _LEAST_STEPS = 41, 2
# The window over the extent of the best psfs found there, and the least at full size, and there.
_ROOM, _LEAST, _LEAST_SHOWN = 1.3, 15, 5
# How many psfs are the best, where the window is fitted first, and again.
_JUDGED = 6, 2


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
    """The hypotheses of one window, or of the one that those in it need, which a coarser scale shows.

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
    found = [Hypothesis(start.psf(scales[0].size).to(piece.image), start.weight, ()) for start in starts]
    paths = len(starts) // 2
    first = 0
    for steps, judged in zip(shown_at(scales) if may_shrink else (), _JUDGED, strict=False):
        coarser = scales[: len(scales) - steps]
        found = climb(coarser, found, report, first=first, above=steps, paths=paths)
        if not found:
            return Found(piece, scales[-1], [])
        first += len(coarser)
        size = window_around([each.psf for each in found[:judged]], size, 2 ** (steps / 2))
        piece = observation.most_informative(size)
        scales = pyramid(piece, size)
        near = scales[-steps - 1].size
        found = [Hypothesis(cropped(each.psf, near), each.weight, each.trace) for each in found]
        scales = scales[-steps:]
    return Found(piece, scales[-1], climb(scales, found, report, first=first, paths=paths))


def shown_at(scales: Sequence[Scale]) -> list[int]:
    """How many steps below the finest scale the window is fitted to the blur: where that shows first, and again before
    the finest scales, as a coarse one does not tell well how far a psf reaches."""
    steps = _LEAST_STEPS
    while max(scales[-steps - 1].size) > _SHOWN:
        steps += 1
    return [steps] if steps == _LEAST_STEPS else [steps, _LEAST_STEPS]


def window_around(psfs: Sequence[Tensor], largest: tuple[int, int], factor: float) -> tuple[int, int]:
    """The window at full size that has room for psfs of a scale that is smaller by a factor."""
    least = max(_LEAST, odd(_LEAST_SHOWN * factor))
    height, width = (
        min(most, max(least, odd(factor * _ROOM * max(extent(psf)[axis] for psf in psfs))))
        for axis, most in enumerate(largest)
    )
    return height, width
