"""The Wiener filter, for latent images that go on outside the frame."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from typing_extensions import Unpack

from ...choices import check_choice
from ...imaging.boundary import extend
from ...nn.recursive_filter import fading_margins, recursive_filter, wiener_factor
from ..common_options import CommonOptions, explain_common_options
from ..convergence import Minimisation
from ..derivatives import Gradient
from ..forward import Convolution
from ..padded_domain import PaddedDomain
from ..problem import Problem
from ..refinement import REFINEMENT, across_gaps, objective_of, refined, with_gaps
from ..run import Image, run, warn_of_ripples

__all__ = ["iterates", "wiener"]

Division = Literal["fft", "recursive"]

# The least noise-to-signal ratio: below it the filter would amplify the rounding of float32.
_LEAST_RATIO = 1e-7
# Where noise hides the slopes of an image, they are not taken for weaker than this, relative to a photograph's.
_FLATTEST = 0.01

# Below this noise-to-signal ratio the filter reaches far, and so does what was made up outside the frame.
_LOW_NOISE = 1e-3
# A larger gain in contrast than this, outside the frame, gives away a contradiction. Sharpening stays below.
_SHARPENED = 1.04
# How often it is decided which clipped pixels count.
_ROUNDS = 4


@explain_common_options
def wiener(
    image: Image | Sequence[Image],
    psf: Any = None,
    *,
    noise_to_signal: float | Tensor | None = None,
    division: Division = "fft",
    method: Division | None = None,
    num_iter: int = 1,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Wiener filter: the linear estimate of least mean square error.

    For latent images of the spectrum :math:`1 / (g + g^2)`, where g is the squared gradient's transfer function, and
    white noise, the estimate minimises

    .. math:: \| W (h * x - y) \|^2 + \lambda \big( \| \nabla x \|^2 + \| \nabla^2 x \|^2 \big)

    with W the part of the blurred image that was observed. Were all of it observed, the minimum would be
    :math:`\bar H Y / R` with :math:`R = |H|^2 + \lambda (g + g^2)`, in one step. That is the first iteration, on an
    observation continued smoothly past the frame. The others are conjugate gradients preconditioned by R, which replace
    what was made up outside the frame by what the image inside implies; eight of them are part of the first iteration
    where the noise is low or the continuation contradicts the blur, and as many as it takes where a mask leaves gaps,
    up to a hundred, of a volume up to seventy. Every boundary but the circular one counts as unknown: a linear filter
    gains nothing from the others.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor, optional
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel. Where it
        varies over the field, `psf_field` takes its place.
    noise_to_signal : float or Tensor, optional
        :math:`\lambda`, the variance of the noise over that of the latent image; a number or `(B,)`. By default from
        `sigma`, and from the contrast and the slopes of the image, which are two estimates of its variance; their
        geometric mean is used.
    division : {"fft", "recursive"}
        How to divide by R: in the frequency domain, or by two exact inverses of causal convolutions, with the spectral
        factor of R; the latter for images only.
    method : {"fft", "recursive"}, optional
        Former name of `division`.
    num_iter : int
        Iterations, at most.
    **common : CommonOptions
        What all take, such as sigma, boundary, mask, frames and psf_field.

    Returns
    -------
    array or Tensor
        The restored image: kind of array, layout, dtype and range of `image`. Floats are not clipped.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what is allowed.

    References
    ----------
    Wiener, "Extrapolation, interpolation, and smoothing of stationary time series", 1949. The recursive form:
    Ekstrom and Woods, "Two-dimensional spectral factorization with applications in recursive digital
    filtering", IEEE Transactions on Acoustics, Speech, and Signal Processing 24, 1976.
    """
    if method is not None:
        warnings.warn("wiener(method=) is now division=", DeprecationWarning, stacklevel=2)
        division = method
    return run(
        image,
        psf,
        lambda problem: iterates(problem, noise_to_signal=noise_to_signal, division=division),
        num_iter=num_iter,
        name="wiener",
        given=(noise_to_signal,),
        **common,
    )


def iterates(
    problem: Problem, *, noise_to_signal: float | Tensor | None = None, division: Division = "fft"
) -> Iterator[Tensor]:
    """Latent images of `wiener`."""
    check_choice("division", division, get_args(Division))
    warn_of_ripples(problem)
    # Less the mean, rounding is relative to the contrast. A linear estimate gains nothing from knowing that the outside
    # is a mirror image, or zero: what the blur leaves of that is less than what conjugate gradients lose by it.
    domain = problem.domain.unbounded()
    power = domain.forward.power
    power = power[(None,) * (problem.space + 2 - power.ndim)]
    gain, mean = domain.forward.gain, problem.image.mean(domain.axes, keepdim=True)
    offset = domain.combine(gain * mean) / power[(..., *[slice(0, 1)] * problem.space)]
    domain = domain.minus(gain * offset)
    gradient = Gradient(problem.space).power(domain.shape, problem.image)
    steepness = (power / (1 + gradient)).mean(domain.axes, keepdim=True)
    ratio = _noise_to_signal(problem, noise_to_signal, steepness)
    penalty = ratio * (gradient + gradient.square())
    # Clipped pixels are bounds, which is not linear: those that the last result explains are left out in the next one.
    whole, domain = domain, domain.active(None)
    gaps = with_gaps(whole)
    for _ in range(0 if domain is whole else _ROUNDS):
        domain = whole.active(domain.blur(next(_filtered(domain, power, penalty, ratio, torch.zeros_like(gaps)))))
    latents = _filtered(domain, power, penalty, ratio, gaps)
    if division == "recursive":
        latents = map(_recursive_filter(domain, ratio), latents)

    def objective(latent: Tensor) -> Tensor:
        return objective_of(domain, penalty, latent - offset)

    return Minimisation((latent + offset for latent in latents), objective)


def _filtered(domain: PaddedDomain, power: Tensor, penalty: Tensor, ratio: Tensor, gaps: Tensor) -> Iterator[Tensor]:
    """The closed form and its refinements, or, where it needs them, refinements from the beginning.

    gaps: which samples are refined until they settle, `(B or 1, 1, 1, 1)`.
    """
    continued = extend(domain.image, domain.margins)
    adjoint = domain.forward.spectrum_of_adjoint(continued)
    if bool(gaps.all()):
        del continued  # buffers of a whole volume, which need not wait for the steps
        ahead = across_gaps(domain, power, penalty, adjoint, gaps)
        del adjoint
        yield from map(domain.ifft, ahead)
    inverse = (power + penalty).reciprocal()
    spectrum = inverse * adjoint
    first = domain.ifft(spectrum)
    at_once = itertools.chain([spectrum], (x for x, _ in refined(domain, penalty, inverse, spectrum)))
    if bool(gaps.any()):
        ahead = across_gaps(domain, power, penalty, adjoint, gaps)
    else:
        ahead = (x for x, _ in itertools.islice(refined(domain, penalty, inverse, spectrum), REFINEMENT - 1, None))
    # Decided for each sample, so that a batch gives what its samples give one by one.
    needy = _needs_refinement(domain, ratio, first, continued) | gaps
    if not domain.forward.diagonal:
        needy = torch.ones_like(needy)  # the closed form is none
    if needy.all():
        yield from map(domain.ifft, ahead)
    elif not needy.any():
        yield first
        yield from map(domain.ifft, itertools.islice(at_once, 1, None))
    for later, sooner in zip(ahead, at_once, strict=True):
        yield domain.ifft(torch.where(needy, later, sooner))


def _needs_refinement(domain: PaddedDomain, ratio: Tensor, latent: Tensor, continued: Tensor) -> Tensor:
    """Whether the made-up part of the observation spoils the result, for each sample, `(B, 1, 1, 1)`.

    It does so the farther the lower the noise is; and where it is not the blur of anything likely. Frequencies that the
    blur suppresses cannot be strong in an observation: where a continuation has them, the filter amplifies them, and
    the result has more contrast there than sharpening explains.
    """
    axes = tuple(range(1, latent.ndim))
    sampled = (..., *[slice(None, None, 2)] * len(domain.axes))  # a quarter of the pixels tells as much
    missing = 1 - domain.mask[domain.seen][sampled]
    contrast = [
        domain.combine(missing * image.detach()[domain.seen][sampled].square()).sum(axes, keepdim=True)
        for image in (latent, continued)
    ]
    # Where nothing is missing, both are zero.
    return (contrast[0] > _SHARPENED * contrast[1]) | (ratio < _LOW_NOISE) & (contrast[1] > 0)


def _noise_to_signal(problem: Problem, given: float | Tensor | None, steepness: Tensor) -> Tensor:
    """The ratio for each sample, `(B or 1, 1, 1, 1)`; what it is estimated from is averaged over channels.

    steepness: sum of squared slopes of the blurred image, for a latent image of the model's spectrum and variance 1.
    """
    image, statistics = problem.image.detach(), problem.statistics
    ones = [1] * (problem.space + 1)
    if given is not None:
        ratio = torch.as_tensor(given, dtype=image.dtype, device=image.device)
        if ratio.ndim > 1 or not bool(((ratio > 0) & ratio.isfinite()).all()):
            raise ValueError(f"noise_to_signal: expected a positive number, or one per sample, given {given}")
        return ratio.reshape(-1, *ones)

    def mean(values: Tensor) -> Tensor:
        return values.flatten(1).mean(1).reshape(-1, *ones)

    noise = mean(statistics.sigma.square())
    by_slopes = (mean(statistics.slopes.square()) - 2 * problem.space * noise) / mean(steepness)
    by_contrast = mean(statistics.typical_contrast.square())
    signal = (torch.maximum(by_slopes, _FLATTEST * by_contrast) * by_contrast).sqrt()
    return (noise / signal).clamp_min(_LEAST_RATIO)


def _recursive_filter(domain: PaddedDomain, ratio: Tensor) -> Callable[[Tensor], Tensor]:
    """The filter in the spatial domain, on an observation completed by what a latent image implies for the rest."""
    if len(domain.shape) != 2 or domain.forward.shares is not None or not isinstance(domain.forward, Convolution):
        raise ValueError('division: "recursive" is for one image and psf; volumes, frames and psf_field take "fft"')
    psf = _psf(domain, domain.forward.otf)
    try:
        factor, transposed = wiener_factor(psf, ratio[..., 0, 0])
    except ValueError as error:
        raise ValueError(f'division: "recursive" does not suit this psf and noise: {error}; take "fft"') from None
    margins = fading_margins(psf.shape[-2:])

    def apply(latent: Tensor) -> Tensor:
        implied = domain.observed + (1 - domain.mask) * domain.blur(latent)
        periodic = extend(implied, margins, method="circular")
        return recursive_filter(periodic, margins, psf, factor, transposed=transposed)

    return apply


def _psf(domain: PaddedDomain, otf: Tensor) -> Tensor:
    """The psf of a domain, `(B or 1, C or 1, kh, kw)`, of odd size and without an empty border."""
    psf = domain.ifft(otf)
    psf = psf[(None,) * (4 - psf.ndim)]
    seen = (psf.abs() > 1e-6 * psf.abs().max()).flatten(0, 1).any(0)
    for axis in (0, 1):
        distance = torch.arange(seen.shape[axis], device=psf.device)
        distance = torch.minimum(distance, seen.shape[axis] - distance)
        reach = int(distance[seen.any(1 - axis)].max())
        taps = torch.arange(-reach, reach + 1, device=psf.device)
        psf = psf.index_select(axis - 2, taps % seen.shape[axis])
    return psf
