"""From a blurred photograph to its psf, and to the photograph restored."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, overload

from torch import Tensor

from ..choices import check_choice
from ..foreign_arrays import as_tensor
from ..imaging.arrays import as_image_batch
from ..imaging.clipping import white_level
from ..imaging.srgb import to_linear
from ..prior import Prior
from ..progress import ProgressBar
from ..restore import hyper_laplacian
from ..restore.pixel_mask import white_of
from .comparison import why_not_better
from .confidence import Signs, confidence, signs_of
from .descent import as_prior, descended
from .description import describe
from .evidence import Candidate, Hypothesis, within_reach
from .kernel_estimate import KernelEstimate, NoBlurFound, NoImprovement, UncertainBlur
from .observation import Observation, channel_noise, effective_noise, widest_window, window_size
from .polish import averages, polish, refined
from .pyramid import pyramid
from .reject import THRESHOLDS, why_hopeless, why_rejected
from .search import search
from .starts import STARTS
from .support import delta

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["EstimateOptions", "deblur", "estimate"]

Image = TypeVar("Image")

_LEAST_SIDE = 32


class EstimateOptions(TypedDict, total=False):
    """Further options of `estimate`, for functions that call it."""

    method: Literal["coarse_to_fine"]
    starts: int
    refine: Literal["gradient"] | None
    prior: str | os.PathLike | Prior | None
    callback: Callable[[int, Tensor], bool | None] | None


def estimate(
    image: Any,
    kernel_size: int | tuple[int, int] | None = None,
    *,
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
    starts, which random paths join at coarse scales; the best are refined on a restored photograph, and the one with
    the greatest evidence is taken (`deconv.blind.evidence`) and polished (`deconv.blind.polish`), unless it leaves too
    much unexplained or is no better than no blur (`deconv.blind.reject`).

    Parameters
    ----------
    image : array_like
        One grey or colour photograph, at least 32 x 32; see `deconv.imaging.arrays`. The blur is taken to be the same
        all over it.
    kernel_size : int or tuple of int, optional
        The psf's window, a number or `(kh, kw)`, made odd; somewhat more than the blur's extent, and at most half of
        the image. By default a fifth of the image's shorter side, from 15 to 151, and at the finest scales a smaller
        one, with room for the psfs that were found in it.
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
    observation = Observation.of(batch, sigma)

    def no_blur(reason: str, signs: Signs | None = None) -> KernelEstimate:
        psf = delta(observation.image.new_zeros(size))
        return KernelEstimate(psf, image, float("nan"), (psf,), (reason,), signs=signs)

    if observation.contrast <= THRESHOLDS.contrast:
        return no_blur("the image is of one colour: no blur to see")
    piece = observation.most_informative(size)
    scales = pyramid(piece, size)
    if reason := why_hopeless(piece, scales[-1]):
        return no_blur(reason)
    with ProgressBar("estimating the psf", len(scales), shown=progress, unit="scale") as bar:

        def report(scale: int, psf: Tensor) -> bool:
            bar.advance()
            return callback is not None and bool(callback(scale, psf))

        found = search(observation, size, STARTS[:starts], report, may_shrink=kernel_size is None)
    if not found.hypotheses:
        return no_blur("stopped before a psf was found")
    piece, scale = found.piece, found.scale
    candidates = list(refined(piece, scale, found.hypotheses, thorough=starts > 1))
    candidates += list(averages(piece, candidates))
    best = min(within_reach(candidates), key=lambda each: each.score)
    none = Candidate.of(piece, Hypothesis(delta(best.psf), 0.0, ()))
    if reason := why_rejected(best, none):
        return no_blur(reason, signs_of(piece, best, none, found.hypotheses))
    best = polish(piece, scale, best)
    best = descended(piece, best, by_gradient=refine == "gradient", density=density)
    signs = signs_of(piece, best, none, found.hypotheses)
    return KernelEstimate(
        best.psf, image, best.score, best.trace, confidence=confidence(signs), signs=signs, sigma=sigma
    )


@overload
def deblur(
    image: Image,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    estimated: KernelEstimate | None = None,
    sigma: Any = None,
    white: float | None = None,
    linear: bool = False,
    info: Literal[False] = False,
    progress: bool | None = None,
    **options: Unpack[EstimateOptions],
) -> Image: ...
@overload
def deblur(
    image: Image,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    estimated: KernelEstimate | None = None,
    sigma: Any = None,
    white: float | None = None,
    linear: bool = False,
    info: Literal[True],
    progress: bool | None = None,
    **options: Unpack[EstimateOptions],
) -> tuple[Image, KernelEstimate]: ...
def deblur(
    image: Any,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    estimated: KernelEstimate | None = None,
    sigma: Any = None,
    white: float | None = None,
    linear: bool = False,
    info: bool = False,
    progress: bool | None = None,
    **options: Unpack[EstimateOptions],
) -> Any:
    """Estimate the psf of a photograph, and restore the photograph with it.

    Parameters
    ----------
    image : array_like
        As for `estimate`.
    kernel_size : int or tuple of int, optional
        As for `estimate`.
    estimated : KernelEstimate, optional
        What `estimate` has found, where that is done already.
    sigma : float or array_like, optional
        Standard deviation of the noise, in the image's unit, or one for each channel; by default estimated, and never
        less than a fiftieth of the contrast, for what an estimated psf leaves unexplained.
    white : float, optional
        The value at which the image is clipped, in its unit; by default the greatest one that integers can have, and
        what floats show, see `deconv.imaging.clipping`.
    linear : bool
        The image is an sRGB photograph: restore its linear light, also when estimating.
    info : bool
        Also return the estimate.
    progress : bool, optional
        Show bars; by default on a terminal.
    **options
        Further options of `estimate`: starts, refine, prior, callback.

    Returns
    -------
    restored : array_like
        The restored image: kind of array, layout, dtype and range of `image`; each channel is restored by itself, and
        where it is clipped, its blur is white at least, or black at most. Where no psf is to be trusted, the image as
        it was.
    estimated : KernelEstimate
        Only with `info`; its `found` says whether the image is restored.

    Raises
    ------
    TypeError, ValueError
        As `estimate`.

    Warns
    -----
    NoBlurFound
        No psf is to be trusted, and why.
    UncertainBlur
        The psf found is as likely wrong as right, see `KernelEstimate`.
    NoImprovement
        The restored image does not explain the given one, or rings: what blur was found, and why the result is judged
        no better. It is returned all the same; ``warnings.simplefilter("error", NoImprovement)`` makes an error of it.
    """
    batch, back = as_image_batch(image)
    light = to_linear(batch) if linear else batch
    level = None if sigma is None else channel_noise(sigma, batch).to(batch)
    white = white_of(as_tensor(image, name="image")[0].dtype, white, sought=True)
    if white is None:
        white = white_level(batch)
    if estimated is None:
        estimated = estimate(light, kernel_size, sigma=level, progress=progress, **options)
    if not estimated.found:
        warnings.warn("; ".join(estimated.warnings), NoBlurFound, stacklevel=2)
        return (image, estimated) if info else image
    for caution in estimated.cautions:
        warnings.warn(caution, UncertainBlur, stacklevel=2)
    level = effective_noise(light) if level is None else level
    latent = hyper_laplacian(batch, estimated.psf, sigma=level, white=white, linear=linear, progress=progress)
    if reason := why_not_better(batch, latent, estimated.psf, linear=linear):
        warnings.warn(f"{describe(estimated.psf).words}, but {reason}", NoImprovement, stacklevel=2)
    return (back(latent), estimated) if info else back(latent)
