"""A psf of one or two numbers in place of one that was free to take any form, where it explains as much.

A free psf has an error in each of its taps, and among text, whose strokes and lines repeat, a search for one often ends
far from the right one. Straight motion, a disk or a Gaussian have one or two numbers: what the search has found and the
power spectrum give a first guess, the ranking score of `deconv.blind.evidence` refines it and decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from .description import principal_axes
from .evidence import Candidate, Hypothesis
from .metrics import kernel_similarity
from .observation import Observation
from .reject import LAST_LIMITS, THRESHOLDS, why_rejected
from .shapes import Seen, Shape
from .support import cropped, extent

__all__ = ["Simple", "preferred", "simple_candidates", "simpler"]

# A shape of the moments of a psf is a first guess where the psf resembles it so much, and for a disk that the spectrum
# shows also the Gaussian of so many times its radius.
_RESEMBLES, _AS_GAUSSIAN = 0.85, 0.8
# Guesses of one kind are one where they differ by so little, as a logarithm of the size, and in degrees.
_SAME_SIZE, _SAME_ANGLE = 0.06, 4.0
# So many of the best guesses are refined, if they are not so far behind the best; the first step, relative to the size,
# halved where nothing is gained, and how many steps.
_REFINED, _BEHIND, _STEP, _STEPS = 2, 0.3, 0.12, 4
# The weight of the likeness to the free psf where simple ones are compared.
_LIKENESS = 0.5


# By how much the ranking score of a shape may be worse than that of a free psf of such a similarity to it, since a psf
# that may take any form fits what the model has wrong, too. On 12 photographs and 16 pages of text under disks,
# Gaussians, motion and shakes, and on 99 photographs under shakes, one of which is taken for a Gaussian.
_ALLOWED = ((0.98, 0.25), (0.93, 0.05))
# The same for one that the power spectrum shows by so much, in nats a frequency: in those, 0.16 to 1.9 where it was
# there, 0.11 at most in sharp pictures and under shakes that are found, up to 0.27 under others.
_SEEN, _ALLOWED_SEEN = 0.15, 0.05
# And where the free one is one of several copies, which fits the errors of the others, too.
_ALLOWED_CUT = 0.25
# By so much one is seen so clearly that no blur may have the better ranking score, as for a psf that is to be polished.
_CLEARLY = 0.5


@dataclass(frozen=True)
class Simple:
    """A shape that may take the place of a free psf.

    Attributes
    ----------
    shape : Shape
        With its numbers.
    candidate : Candidate
        Its psf, judged.
    gain : float
        How likely the power spectrum makes it, in nats a frequency; 0 where it was not seen there.
    likeness : float
        The similarity of its psf to the free one; 0 where that is far from right.
    """

    shape: Shape
    candidate: Candidate
    gain: float
    likeness: float


def simpler(
    piece: Observation,
    free: Candidate,
    none: Candidate,
    seen: Sequence[Seen],
    largest: tuple[int, int],
    window: tuple[int, int] | None,
    *,
    cut: bool = False,
) -> Candidate | None:
    """The simple psf to take in place of a free one, if there is one that is to be trusted.

    Parameters
    ----------
    piece : Observation
        What the psfs have to explain.
    free, none : Candidate
        What the search has found, and no blur.
    seen, largest, window
        As for `deconv.blind.shape_fit.fit_shape`.
    cut : bool
        The free psf was cut out of one of several copies, see `deconv.blind.copies`, in a search for all of them.
    """
    model = None if why_rejected(free, none) else free.psf  # what is nowhere near the right psf suggests nothing
    best = preferred(free, simple_candidates(piece, model, seen, min(largest)), cut=cut)
    if best is None:
        return None
    if why_rejected(best.candidate, none, THRESHOLDS if best.gain >= _CLEARLY else LAST_LIMITS):
        return None
    psf = best.shape.psf(window).to(free.psf)
    return replace(best.candidate, psf=psf, trace=(*free.trace, psf))


def simple_candidates(piece: Observation, psf: Tensor | None, seen: Sequence[Seen], largest: int) -> list[Simple]:
    """Straight motion, disks and Gaussians that may be what a psf was meant to be, their numbers refined.

    Parameters
    ----------
    piece : Observation
        What the psfs have to explain.
    psf : Tensor or None
        The free one, `(kh, kw)`, where it may be about right.
    seen : sequence
        What `find_shapes` has found in the power spectrum.
    largest : int
        The side of the window that they have to fit into.
    """
    guesses: list[Seen] = []
    for gain, shape in seen:
        if gain >= THRESHOLDS.gain and not shape.is_extreme(largest):
            guesses.append((gain, shape))
            if shape.kind == "focus":  # the zeros of a disk tell it from a Gaussian only where noise leaves them
                guesses.append((gain, Shape("gaussian", _AS_GAUSSIAN * shape.size)))
    if psf is not None:
        guesses += [(0.0, shape) for shape in _of_moments(psf, largest)]
    others: list[Seen] = []
    for guess in guesses:
        if not any(_alike(guess[1], other) for _, other in others):
            others.append(guess)

    def simple(gain: float, shape: Shape, candidate: Candidate) -> Simple:
        return Simple(shape, candidate, gain, 0.0 if psf is None else kernel_similarity(psf, candidate.psf))

    judged = [simple(gain, shape, *_judged(piece, [shape])) for gain, shape in others]
    best = sorted(judged, key=_order)[:_REFINED]
    close = [each for each in best if _order(each) < _order(best[0]) + _BEHIND]
    return [simple(each.gain, *_refined(piece, each.shape, each.candidate, largest)) for each in close]


def preferred(free: Candidate, simple: Sequence[Simple], *, cut: bool = False) -> Simple | None:
    """The best of the simple psfs that explain as much as the free one, None if none does; `cut` as for `simpler`."""
    seen = _ALLOWED_CUT if cut else _ALLOWED_SEEN

    def allowed(each: Simple) -> float:
        by_likeness = [worse for least, worse in _ALLOWED if each.likeness >= least]
        return max([*by_likeness, *([seen] if each.gain >= _SEEN else []), -math.inf])

    good = [each for each in simple if each.candidate.ranking_score <= free.ranking_score + allowed(each)]
    return min(good, key=_order, default=None)


def _order(each: Simple) -> float:
    """Likeness counts, lest a narrow psf come first, which the evidence prefers to all that are far off."""
    return each.candidate.ranking_score - _LIKENESS * each.likeness


def _of_moments(psf: Tensor, largest: int) -> Iterator[Shape]:
    """Shapes of the second moments of a psf, where it resembles them."""
    minor, major, angle = principal_axes(psf)
    spread = math.sqrt((minor**2 + major**2) / 2)
    small = cropped(psf, extent(psf))
    for shape in (Shape("motion", math.sqrt(12) * major, angle), Shape("focus", 2 * spread), Shape("gaussian", spread)):
        if shape.fits(largest) and kernel_similarity(small, shape.psf()) > _RESEMBLES:
            yield shape


def _alike(one: Shape, other: Shape) -> bool:
    turn = abs((one.angle - other.angle + 90) % 180 - 90)
    return one.kind == other.kind and abs(math.log(one.size / other.size)) < _SAME_SIZE and turn < _SAME_ANGLE


def _refined(piece: Observation, shape: Shape, best: Candidate, largest: int) -> tuple[Shape, Candidate]:
    """The shape near a guess, which is judged, of the least ranking score."""
    step = _STEP
    for _ in range(_STEPS):
        near = [each for each in shape.beside(step) if each.fits(largest)]
        scored = zip(_judged(piece, near), near, strict=True)
        candidate, there = min(scored, key=lambda pair: pair[0].ranking_score, default=(best, shape))
        if candidate.ranking_score < best.ranking_score:
            best, shape = candidate, there
        else:
            step /= 2
    return shape, best


def _judged(piece: Observation, shapes: Sequence[Shape]) -> list[Candidate]:
    """In the least window that holds all of them."""
    sizes = [shape.psf().shape for shape in shapes]
    window = max((size[0] for size in sizes), default=1), max((size[1] for size in sizes), default=1)
    psfs = [shape.psf(window).to(piece.image) for shape in shapes]
    return Candidate.all_of(piece, [Hypothesis(psf, 0.0, (psf,)) for psf in psfs])
