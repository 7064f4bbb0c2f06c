"""From an observation to hypotheses at full size, in a window that grows as long as that explains more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from .evidence import Candidate, Hypothesis
from .image_step import Scale
from .observation import Observation
from .pyramid import coarse_to_fine, pyramid
from .starts import Start
from .support import odd

__all__ = ["Found", "larger_window", "search"]

# How much larger the next window is, and the largest: in pixels, and as a share of the image's shorter side.
_GROWTH = 1.6
_LARGEST, _LARGEST_SHARE = 151, 0.25


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
    may_grow: bool,
) -> Found:
    """The hypotheses of one window, or of the one from which a larger one brings no better ranking score.

    A wide blur in a small window leads to a wrong psf, which need not touch the border, so that only a larger window
    shows that it was too small.

    Parameters
    ----------
    size : tuple of int
        The psf's window, `(kh, kw)`.
    report : callable
        As for `coarse_to_fine`, from the coarsest scale again in each window.
    may_grow : bool
        Whether to try larger windows.
    """
    found = _in_window(observation, size, starts, report)
    while may_grow and found.hypotheses and (larger := larger_window(found.scale.size, observation.image.shape[2:])):
        wider = _in_window(observation, larger, starts, report)
        if not wider.hypotheses:
            return wider
        if _best_score(wider.piece, wider.hypotheses) >= _best_score(wider.piece, found.hypotheses):
            break
        found = wider
    return found


def larger_window(size: Sequence[int], shape: Sequence[int]) -> tuple[int, int] | None:
    """The next window for an image of that shape; None where there is no room for one."""
    side = odd(_GROWTH * max(size))
    return (side, side) if side <= min(_LARGEST, _LARGEST_SHARE * min(shape)) else None


def _in_window(
    observation: Observation, size: tuple[int, int], starts: Sequence[Start], report: Callable[[int, Tensor], bool]
) -> Found:
    piece = observation.most_informative(size)
    scales = pyramid(piece, size)
    return Found(piece, scales[-1], coarse_to_fine(scales, starts, report))


def _best_score(piece: Observation, hypotheses: Sequence[Hypothesis]) -> float:
    return min(Candidate.of(piece, each).ranking_score for each in hypotheses)
