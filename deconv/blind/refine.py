"""The last steps, at full size: psfs of the L0 alternation come out too thick."""

from __future__ import annotations

from torch import Tensor

from ..imaging.boundary import extend
from ..imaging.convolution import psf_to_otf
from ..restore.derivatives import Gradient
from .coarse_to_fine import RIDGE
from .edges import strongest, threshold
from .kernel_step import fit_psf
from .latent import Scale
from .observation import Observation
from .selection import Candidate, scene_precision
from .support import centred, clean

__all__ = ["finish", "thin"]

_EDGES = 80

# How many steps the chosen psf takes at least and at most, and what one must gain, in nats a pixel, to be followed by
# more.
_LEAST_STEPS, _MOST_STEPS, _GAIN = 2, 6, 0.005
# How far along each it goes, and the power of its taps that makes it less peaked.
_LENGTHS, _POWER = (1.0, 2.0), 0.85
# What is fainter, relative to the greatest tap, goes after each step, and in the end.
_FAINT, _FAINTEST = 0.02, 0.045

_gradient = Gradient()


def thin(piece: Observation, scale: Scale, found: Candidate, *, cut: float) -> Tensor:
    """The psf of the next step of `_expected_fit`. cut: what is fainter, relative to the greatest tap, becomes zero."""
    return centred(clean(_expected_fit(piece, scale, found), cut=cut))


def finish(piece: Observation, scale: Scale, found: Candidate) -> Candidate:
    """The chosen psf after some more steps.

    Expectation-maximisation creeps where the scene follows the psf, hence longer steps too, and it makes psfs ever more
    peaked, hence a flatter one after the first step. The evidence alone goes astray here where a blur is not quite the
    same everywhere, so the order of the scene is asked as well, half as much as in `Candidate.ranking_score`. As both
    err by more than most steps gain, the first ones are taken whatever they say; only how far is up to them.
    """
    for step in range(1, _MOST_STEPS + 1):
        change = clean(_expected_fit(piece, scale, found), cut=0.0) - found.psf
        tried = [(found.psf + length * change).clamp_min(0) for length in _LENGTHS]
        if step > 1:
            tried.append(found.psf**_POWER)
        hypotheses = [found.further(centred(clean(psf, cut=_FAINT))) for psf in tried]
        best = min(Candidate.all_of(piece, hypotheses), key=_dissent)
        gain = _dissent(found) - _dissent(best)
        if step <= _LEAST_STEPS or gain > 0:
            found = best
        if step >= _LEAST_STEPS and gain < _GAIN:
            break
    return Candidate.of(piece, found.further(centred(clean(found.psf, cut=_FAINTEST))))


def _dissent(candidate: Candidate) -> float:
    """What speaks against a psf that is nearly right: the lowest is the best."""
    return (candidate.score + candidate.ranking_score) / 2


def _expected_fit(piece: Observation, scale: Scale, found: Candidate) -> Tensor:
    r"""The weights that fit the strongest edges of a restored photograph in place of those of a drawing.

    They have the least misfit that is to be expected if the scene is x to a covariance C, that of Laplace's
    approximation around what was restored with the last psf:

    .. math:: \|\nabla x * h - \nabla y\|^2 + \sum_\omega C \, |D|^2 |H|^2, \qquad
        C^{-1} = \frac{|H_{last}|^2}{\sigma^2} + \frac{|D|^2}{s^2}

    which is a step of expectation-maximisation (Levin, Weiss, Durand and Freeman, CVPR 2011).
    """
    slopes = _gradient.analyse(extend(piece.smooth(found.scene), scale.margins))[:, 0]
    kept = strongest(slopes, threshold(slopes, _EDGES * max(scale.size)))
    precision = scene_precision(found.psf, scale.shape, piece.sigma)
    seen = psf_to_otf(piece.smoothing, scale.shape).real.square()
    doubt = slopes[0].numel() * seen * scale.laplacian / precision
    start = found.psf[None]
    return fit_psf(kept, scale.slopes_spectrum, scale.size, ridge=RIDGE, start=start, doubt=doubt)[0]
