"""From a blurred photograph to its psf."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypedDict

from torch import Tensor

from ..choices import check_choice
from ..imaging.arrays import as_image_batch
from ..prior import Prior
from ..progress import ProgressBar
from .confidence import Signs, confidence, signs_of
from .copies import without_copies
from .descent import as_prior, descended
from .evidence import Candidate, Hypothesis
from .kernel_estimate import KernelEstimate
from .observation import Observation, widest_window, window_size
from .picture_frame import find_frame
from .polish import averages, polish, refined
from .power_spectrum import misfit
from .pyramid import pyramid
from .reject import LAST_LIMITS, THRESHOLDS, hides_edges, why_hopeless, why_incredible, why_rejected
from .search import search
from .shape_fit import SHAPE_CONFIDENCE, fit_shape, resembles
from .shapes import Kind, Seen, find_shapes
from .simpler import simpler
from .starts import STARTS
from .support import delta

__all__ = ["MODELS", "EstimateOptions", "Model", "estimate"]

Model = Literal["auto", "shake", "motion", "focus"]
MODELS: tuple[Model, ...] = ("auto", "shake", "motion", "focus")

_LEAST_SIDE = 32


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
        is False, and `warnings` says why. The same image gives the same psf every time.

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
    density = None if prior is None else as_prior(prior)
    if not isinstance(starts, int) or not 1 <= starts <= len(STARTS):
        raise ValueError(f"starts: expected a whole number from 1 to {len(STARTS)}, given {starts!r}")
    batch, _ = as_image_batch(image)
    if len(batch) != 1:
        raise ValueError(f"image: expected one image, given {len(batch)}")
    height, width = batch.shape[2:]
    if min(height, width) < _LEAST_SIDE:
        raise ValueError(f"image: expected at least {_LEAST_SIDE} x {_LEAST_SIDE} pixels, given {height} x {width}")
    size = widest_window((height, width)) if kernel_size is None else window_size(kernel_size, (height, width))
    frame = find_frame(batch, least=max(_LEAST_SIDE, *(2 * s for s in size)))
    if frame:
        batch = frame.inside(batch)
        size = size if kernel_size is not None else widest_window((batch.shape[2], batch.shape[3]))
    observation = Observation.of(batch, sigma)

    def no_blur(reason: str, signs: Signs | None = None) -> KernelEstimate:
        psf = delta(observation.image.new_zeros(size))
        return KernelEstimate(psf, image, float("nan"), (psf,), (reason,), signs=signs, frame=frame)

    if observation.contrast <= THRESHOLDS.contrast:
        return no_blur("the image is of one colour: no blur to see")
    piece = observation.most_informative(size)

    window = None if kernel_size is None else size

    @cache
    def seen() -> list[Seen]:
        kinds: tuple[Kind, ...] = ("motion", "focus") if model in ("auto", "shake") else (model,)
        return find_shapes(observation.image, kinds, size)

    def trusted(best: Candidate, probability: float, signs: Signs | None) -> KernelEstimate:
        psf, score, trace = best.psf, best.score, best.trace
        return KernelEstimate(psf, image, score, trace, (), probability, signs=signs, sigma=sigma, frame=frame)

    def of_shape(reason: str | None = None, signs: Signs | None = None) -> KernelEstimate:
        fitted = (reason or "") if model == "shake" else fit_shape(piece, seen(), size, window)
        return no_blur(reason or fitted, signs) if isinstance(fitted, str) else trusted(fitted, SHAPE_CONFIDENCE, signs)

    if model in ("motion", "focus"):
        return of_shape()
    scales = pyramid(piece, size)
    if reason := why_hopeless(piece, size):
        return of_shape(reason)
    with ProgressBar("estimating the psf", len(scales), shown=progress, unit="scale") as bar:

        def report(scale: int, psf: Tensor) -> bool:
            bar.advance()
            return callback is not None and bool(callback(scale, psf))

        found = search(observation, size, STARTS[:starts], report, may_shrink=kernel_size is None)
    if not found.hypotheses:
        return no_blur("stopped before a psf was found")
    piece, scale = found.piece, found.scale
    with ProgressBar("comparing candidates", 2, shown=progress) as bar:
        candidates = list(refined(piece, scale, found.hypotheses, thorough=starts > 1))
        whole, cut_out = without_copies(piece, [*candidates, *averages(piece, candidates)])
        best = min([*whole, *cut_out], key=lambda each: each.ranking_score)
        cut = any(best is each for each in cut_out)
        none = Candidate.of(piece, Hypothesis(delta(best.psf), 0.0, ()))
        bar.update(1, title="polishing the psf")
        if not (reason := why_rejected(best, none)):
            best = polish(piece, scale, best)
            best = descended(piece, best, by_gradient=refine == "gradient", density=density)
            reason = why_rejected(best, none, LAST_LIMITS)
        signs = signs_of(best.psf, found.hypotheses, scales)
        fitted = simpler(piece, best, none, seen(), size, window, cut=cut) if model == "auto" else None
    if fitted is not None:
        return trusted(fitted, SHAPE_CONFIDENCE, signs)
    if reason:
        return of_shape(reason, signs)
    if (
        model == "auto"
        and hides_edges(piece, size)
        and resembles(fitted := fit_shape(piece, seen(), size, window), best)
    ):
        return trusted(fitted, SHAPE_CONFIDENCE, signs)
    probability = confidence(signs)
    if reason := why_incredible(probability):
        shape = of_shape(reason, signs)
        return shape if misfit(scales, shape.psf) < misfit(scales, best.psf) else no_blur(reason, signs)
    return trusted(best, probability, signs)
