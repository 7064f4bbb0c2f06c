"""From a blurred photograph to its psf."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

from torch import Tensor

from ..choices import check_choice
from ..prior import Prior
from ..progress import ProgressBar
from .confidence import Signs, confidence, signs_of
from .copies import without_copies
from .descent import as_prior, descended
from .evidence import Candidate, Hypothesis
from .image_step import Scale
from .kernel_estimate import KernelEstimate
from .observation import Observation
from .polish import averages, likelier, polish, refined
from .power_spectrum import misfit
from .problem import MODELS, Model, Problem
from .pyramid import pyramid
from .reject import LAST_LIMITS, THRESHOLDS, hides_edges, why_hopeless, why_incredible, why_rejected
from .search import Found, search
from .shape_fit import SHAPE_CONFIDENCE, resembles
from .simpler import simpler
from .starts import STARTS, Start
from .support import delta

__all__ = ["MODELS", "EstimateOptions", "Model", "estimate"]


class EstimateOptions(TypedDict, total=False):
    """Further options of `estimate`, for functions that call it."""

    model: Model
    method: Literal["coarse_to_fine"]
    starts: int
    refine: Literal["gradient"] | None
    prior: str | os.PathLike | Prior | None
    callback: Callable[[int, Tensor], bool | None] | None


def estimate(
    image: Any,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    model: Model = "auto",
    method: Literal["coarse_to_fine"] = "coarse_to_fine",
    starts: int = 16,
    refine: Literal["gradient"] | None = None,
    prior: str | os.PathLike | Prior | None = None,
    sigma: Any = None,
    callback: Callable[[int, Tensor], bool | None] | None = None,
    progress: bool | None = None,
) -> KernelEstimate:
    r"""Estimate the psf that has blurred a photograph, from the photograph alone.

    At every scale of a pyramid two steps alternate: the latent image of fewest edges that explains the observation
    with the last psf, and the psf that fits the strongest of those edges to the observation. That is done from several
    starts, which random paths join at coarse scales; the best are refined on a restored photograph, and the one that
    is best by evidence and sparsity is taken (`deconv.blind.evidence`) and polished (`deconv.blind.polish`), unless it
    leaves too much unexplained or is no better than no blur (`deconv.blind.reject`).

    Straight motion and defocus have one or two numbers, which the power spectrum shows (`deconv.blind.shapes`), in a
    second or two, also where noise hides the path of a shake.

    Parameters
    ----------
    image : array_like
        One grey or colour photograph, at least 32 x 32; see `deconv.imaging.arrays`. The blur is taken to be the same
        all over it. A sharp frame around it, such as a white margin or letterbox bars, is left out.
    kernel_size : int or tuple of int, optional
        The psf's window, a number or `(kh, kw)`, made odd; somewhat more than the blur's extent, and at most half of
        the image. By default a fifth of the image's shorter side, from 15 to 151, and at the finest scales a smaller
        one, with room for the psfs that were found in it.
    model : {"auto", "shake", "motion", "focus"}
        What the blur is: any path, straight motion of some length and angle, a disk of some radius, or, by default, any
        path, and motion and disk where none is found that is to be trusted.
    method : {"coarse_to_fine"}
        There is one.
    starts : int
        1 to 16; half as many paths join them at coarse scales, and the three best are followed to the end.
        With 1 no path does, and fewer ways to refine its psf are tried.
    refine : {None, "gradient"}
        ``"gradient"``: also descend, from the best psf, through the recursive Wiener filter towards the restored
        photograph (see `fit`), and keep what that brings if the evidence is greater.
    prior : str, path or Prior, optional
        Also descend to where the photograph is likeliest under this density of photographs (see
        `deconv.blind.descent`), and keep what that brings if the evidence is greater: ``"flow"``, another name or a
        file of `deconv.prior.load_prior`, or an object with ``log_prob(image, sigma)``. It takes seconds for every
        hundred thousand pixels, and on blur by camera shake it has gained nothing so far: there the log-determinant
        outweighs what the prior tells apart.
    sigma : float or array_like, optional
        Standard deviation of the noise, in the image's unit, or one for each channel; by default estimated.
    callback : callable, optional
        Called as ``callback(scale, psf)`` after each scale, with the psf of the best score; stops by returning True,
        and no psf is found but after the last one.
    progress : bool, optional
        Show a bar; by default on a terminal.

    Returns
    -------
    KernelEstimate
        Its psf is centred, for `deconv.imaging.convolve`. Where none is to be trusted, it is that of no blur, `found`
        is False, and `warnings` says why. The same image gives the same psf every time, on one machine with one
        number of threads: near the limits rounding decides whether one is found.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what is allowed.

    References
    ----------
    Cho and Lee, "Fast motion deblurring", SIGGRAPH Asia 2009. Xu, Zheng and Jia, "Unnatural L0 sparse representation
    for natural image deblurring", CVPR 2013. Selection: Levin, Weiss, Durand and Freeman, "Efficient marginal
    likelihood optimization in blind deconvolution", CVPR 2011.
    """
    check_choice("model", model, MODELS)
    check_choice("method", method, ("coarse_to_fine",))
    check_choice("refine", refine, (None, "gradient"))
    if not isinstance(starts, int) or not 1 <= starts <= len(STARTS):
        raise ValueError(f"starts: expected a whole number from 1 to {len(STARTS)}, given {starts!r}")
    density = None if prior is None else as_prior(prior)
    problem = Problem.of(image, kernel_size, model=model, sigma=sigma)
    if problem.observation.contrast <= THRESHOLDS.contrast:
        return problem.no_blur("the image is of one colour: no blur to see")
    piece = problem.observation.most_informative(problem.size)
    if model in ("motion", "focus"):
        return problem.of_shape(piece)
    if reason := why_hopeless(piece, problem.size):
        return problem.of_shape(piece, reason)
    scales = pyramid(piece, problem.size)
    found = _search(problem, len(scales), STARTS[:starts], callback, progress)
    if not found.hypotheses:
        return problem.no_blur("stopped before a psf was found")
    with ProgressBar("comparing candidates", 2, shown=progress, last=False) as bar:
        best, cut = _best(found, thorough=starts > 1)
        none = Candidate.of(found.piece, Hypothesis(delta(best.psf), 0.0, ()))
        bar.update(1, title="polishing the psf")
        best, reason = _polished(found, best, none, by_gradient=refine == "gradient", density=density)
        signs = signs_of(best.psf, found.hypotheses, scales)
        simple = _simpler(problem, found, best, none, cut=cut) if model == "auto" else None
    if simple is not None:
        return problem.trusted(simple, SHAPE_CONFIDENCE, signs)
    if reason:
        return problem.of_shape(found.piece, reason, signs)
    return _judged(problem, scales, found.piece, best, signs)


def _search(
    problem: Problem,
    scales: int,
    starts: Sequence[Start],
    callback: Callable[[int, Tensor], bool | None] | None,
    progress: bool | None,
) -> Found:
    """The hypotheses that lead from the starts to the finest scale."""
    with ProgressBar("estimating the psf", scales, shown=progress, unit="scale", last=False) as bar:

        def report(scale: int, psf: Tensor) -> bool:
            bar.advance()
            return callback is not None and bool(callback(scale, psf))

        return search(problem.observation, problem.size, starts, report, may_shrink=problem.window is None)


def _best(found: Found, *, thorough: bool) -> tuple[Candidate, bool]:
    """The candidate of the best ranking score, refined, and whether it is one of several copies in another."""
    candidates = list(refined(found.piece, found.scale, found.hypotheses, thorough=thorough))
    whole, cut_out = without_copies(found.piece, [*candidates, *averages(found.piece, candidates)])
    best = min([*whole, *cut_out], key=lambda each: each.ranking_score)
    return best, any(best is each for each in cut_out)


def _polished(
    found: Found, best: Candidate, none: Candidate, *, by_gradient: bool, density: Prior | None
) -> tuple[Candidate, str | None]:
    """The best candidate, polished if it is not rejected before, and why it is rejected: compared with no blur."""
    if reason := why_rejected(best, none):
        return best, reason
    best = polish(found.piece, found.scale, best)
    likeliest = likelier(found.piece, found.scale, best)
    best = best if why_rejected(likeliest, none, LAST_LIMITS) else likeliest
    best = descended(found.piece, best, by_gradient=by_gradient, density=density)
    return best, why_rejected(best, none, LAST_LIMITS)


def _simpler(problem: Problem, found: Found, best: Candidate, none: Candidate, *, cut: bool) -> Candidate | None:
    """A psf of one or two numbers that explains about as much."""
    return simpler(found.piece, best, none, problem.shapes, problem.size, problem.window, cut=cut)


def _judged(
    problem: Problem, scales: Sequence[Scale], piece: Observation, best: Candidate, signs: Signs
) -> KernelEstimate:
    """The answer that the best candidate is worth: itself, the shape that it resembles, or none."""
    if problem.model == "auto" and hides_edges(piece, problem.size):
        fitted = problem.fitted_shape(piece)
        if resembles(fitted, best):
            return problem.trusted(fitted, SHAPE_CONFIDENCE, signs)
    probability = confidence(signs)
    if not (reason := why_incredible(probability)):
        return problem.trusted(best, probability, signs)
    shape = problem.of_shape(piece, reason, signs)
    return shape if misfit(scales, shape.psf) < misfit(scales, best.psf) else problem.no_blur(reason, signs)
