"""The last steps, at full size, on a restored photograph: psfs of the L0 alternation come out too thick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from ..imaging.boundary import extend
from ..imaging.convolution import psf_to_otf
from ..restore.derivatives import Gradient
from .anderson import fixed_point
from .evidence import Candidate, Hypothesis, posterior_precision
from .image_step import Scale
from .observation import Observation
from .posterior import LatentPosterior
from .psf_step import RIDGE, edge_threshold, fit_psf, strong_edges
from .pyramid import alternate
from .support import average, centred, clean

__all__ = ["averages", "likelier", "polish", "refined"]

_EDGES = 80  # for each pixel of the psf's side, and each direction

# Refinement: what is fainter than these shares of the greatest tap becomes zero after each step, and the prior weights
# of the alternation before them, over the hypothesis's own.
_CUTS = (0.03, 0.05, 0.05, 0.05)
_WEIGHTS = (1.0, 3.0)
# How many of them are followed.
_FOLLOWED = 3
# Of so many candidates of the best ranking scores, whose errors differ, the mean psf is tried.
_AVERAGED = (3, 6, 12)

# Polishing: how many steps at least and at most, and what one must gain, in nats a pixel, to be followed by more.
_LEAST_STEPS, _MOST_STEPS, _GAIN = 2, 6, 0.005
# How far along each it goes, and the power of its taps that makes a psf less peaked.
_LENGTHS, _POWER = (1.0, 2.0), 0.85
# What is fainter, relative to the greatest tap, becomes zero after each step, and in the end.
_FAINT, _FAINTEST = 0.02, 0.045

# Greatest likelihood: the ridges of the psf step, each for so many steps.
_STAGES = ((1000.0, 5), (RIDGE, 8))

_gradient = Gradient()


def refined(
    piece: Observation, scale: Scale, hypotheses: Sequence[Hypothesis], *, thorough: bool
) -> Iterator[Candidate]:
    """Each hypothesis after another alternation with each of two prior weights, and, if `thorough`, as it is; those of
    the best ranking scores also after one to four steps of expectation-maximisation."""
    tried = list(hypotheses) if thorough else []
    for found in hypotheses:
        psfs = alternate(scale, [found.psf for _ in _WEIGHTS], [factor * found.weight for factor in _WEIGHTS])
        tried += map(found.updated, psfs)
    candidates = Candidate.all_of(piece, tried)
    yield from candidates
    followed = sorted(candidates, key=lambda each: each.ranking_score)[:_FOLLOWED]
    for cut in _CUTS:
        psfs = [centred(clean(_maximised_expectation(piece, scale, last), cut=cut)) for last in followed]
        followed = Candidate.all_of(piece, [last.updated(psf) for last, psf in zip(followed, psfs, strict=True)])
        yield from followed


def averages(piece: Observation, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """The mean psfs of the candidates of the best ranking scores."""
    ranking = sorted(candidates, key=lambda each: each.ranking_score)
    means = [average([each.psf for each in ranking[:count]]) for count in _AVERAGED if len(ranking) >= count]
    yield from Candidate.all_of(piece, [ranking[0].updated(mean) for mean in means])


def polish(piece: Observation, scale: Scale, found: Candidate) -> Candidate:
    """The chosen candidate after some more steps of expectation-maximisation, or as it was where they gain nothing.

    These converge slowly, since the latent image follows the psf, hence longer steps too; and they make psfs ever more
    peaked, hence a flatter one after the first step. Where a blur is not quite the same everywhere the evidence alone
    goes astray, so the sparsity counts as well. As both err by more than most steps gain, the first ones are taken
    whatever the score; it decides how long they are, and in the end whether all of them together have gained: under
    strong noise they may lead away from the right psf.
    """
    start = found
    for step in range(1, _MOST_STEPS + 1):
        change = clean(_maximised_expectation(piece, scale, found), cut=0.0) - found.psf
        tried = [(found.psf + length * change).clamp_min(0) for length in _LENGTHS]
        if step > 1:
            tried.append(found.psf**_POWER)
        hypotheses = [found.updated(centred(clean(psf, cut=_FAINT))) for psf in tried]
        best = min(Candidate.all_of(piece, hypotheses), key=lambda each: each.ranking_score)
        gain = found.ranking_score - best.ranking_score
        if step <= _LEAST_STEPS or gain > 0:
            found = best
        if step >= _LEAST_STEPS and gain < _GAIN:
            break
    polished = Candidate.of(piece, found.updated(centred(clean(found.psf, cut=_FAINTEST))))
    return min(start, polished, key=lambda each: each.ranking_score)


def likelier(piece: Observation, scale: Scale, found: Candidate) -> Candidate:
    """The best of a candidate and of those on its way to the psf of greatest likelihood, all latent images considered.

    These steps hardly lead away from the right psf, and they are short, hence the acceleration. But they know nothing
    of psfs: what noise is left in them is kept down by a ridge, a large one first. A haze of faint taps is left, too:
    the candidates are means with the psf that they began with, whose errors are others.
    """
    posterior = LatentPosterior(piece, scale, piece.smoothing, found.latent)
    psf, hypotheses = found.psf, []
    for ridge, count in _STAGES:

        def step(last: Tensor, ridge: float = ridge) -> Tensor:
            last = last.clamp_min(0)
            last = last / last.sum()
            posterior.update(last)
            return posterior.fitted(last, ridge)

        psf = fixed_point(step, psf, count)
        hypotheses.append(found.updated(average([found.psf, centred(clean(psf, cut=_FAINTEST))])))
    return min([found, *Candidate.all_of(piece, hypotheses)], key=lambda each: each.ranking_score)


def _maximised_expectation(piece: Observation, scale: Scale, found: Candidate) -> Tensor:
    r"""One step of expectation-maximisation: the psf of least expected misfit, any sum.

    The latent image is x, restored with the last psf, up to the covariance C of Laplace's approximation around it:

    .. math:: \|\nabla x * h - \nabla y\|^2 + \sum_\omega C \, |D|^2 |H|^2, \qquad
        C^{-1} = \frac{|H_{last}|^2}{\sigma^2} + \frac{|D|^2}{s^2}

    (Levin, Weiss, Durand and Freeman, CVPR 2011); of :math:`\nabla x`, the strongest edges.
    """
    gradients = _gradient.analyse(extend(piece.smooth(found.latent), scale.margins))[:, 0]
    edges = strong_edges(gradients, edge_threshold(gradients, _EDGES * max(scale.size)))
    precision = posterior_precision(found.psf, scale.shape, piece.sigma)
    smoothing = psf_to_otf(piece.smoothing, scale.shape).real.square()
    variance = gradients[0].numel() * smoothing * scale.laplacian / precision
    return fit_psf(edges, scale.gradient_spectrum, scale.size, start=found.psf[None], variance=variance)[0]
