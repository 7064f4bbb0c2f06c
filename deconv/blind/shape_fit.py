"""Straight motion or defocus, where one of them is to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from .evidence import Candidate, Hypothesis
from .metrics import kernel_similarity
from .observation import Observation
from .reject import LAST_LIMITS, THRESHOLDS, why_rejected
from .shapes import Seen
from .support import delta

__all__ = ["SHAPE_CONFIDENCE", "fit_shape", "resembles"]

# From this similarity on, a psf that was found is one of these shapes, as noise leaves it: 0.77 and more where it is,
# up to 0.75 under camera shakes.
_SIMILAR = 0.75

# Of 19 accepted for photographs of the Berkeley segmentation set, 18 were right: under motion and disks, with 1 % of
# noise, half of them after JPEG of quality 90. With 5 % of noise, on others, 25 of 27.
SHAPE_CONFIDENCE = (18 + 1) / (19 + 2)


def fit_shape(
    piece: Observation, seen: Sequence[Seen], largest: tuple[int, int], window: tuple[int, int] | None
) -> Candidate | str:
    """The psf of straight motion or defocus, judged, or why none is to be trusted.

    Parameters
    ----------
    piece : Observation
        What the psf has to explain.
    seen : sequence
        What `find_shapes` has found in the power spectrum of the photograph.
    largest : tuple of int
        The window that the psf has to fit into.
    window : tuple of int or None
        That of the result; by default the least.

    Returns
    -------
    Candidate or str
    """
    gain, shape = max(seen, key=lambda pair: pair[0])
    if gain < THRESHOLDS.gain or shape.is_extreme(min(largest)):
        return "neither straight motion nor defocus is seen in the power spectrum"
    psf = shape.psf(window).to(piece.image)
    best, none = Candidate.all_of(piece, [Hypothesis(each, 0.0, (psf,)) for each in (psf, delta(psf))])
    return why_rejected(best, none, LAST_LIMITS) or best


def resembles(fitted: Candidate | str, found: Candidate) -> TypeGuard[Candidate]:
    """Whether what `fit_shape` returned is the shape of a psf that was found; then it is that without the errors."""
    return not isinstance(fitted, str) and kernel_similarity(found.psf, fitted.psf) > _SIMILAR
