"""The Wiener filter, for scenes that go on outside the frame."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..imaging.boundary import extend
from ..nn.recursive_filter import fading_margins, recursive_filter, wiener_factor
from .derivatives import Gradient
from .frame import iterative
from .padded_domain import PaddedDomain
from .problem import Problem

__all__ = ["wiener"]

_METHODS = ("fft", "recursive")

# The least noise-to-signal ratio: below it the filter would amplify the rounding of float32.
_LEAST_RATIO = 1e-7
# Where noise hides the slopes of a scene, they are not taken for weaker than this, relative to a
# photograph's.
_FLATTEST = 0.01

# Below this noise-to-signal ratio the filter reaches far, and so does what was made up outside the frame.
_LOW_NOISE = 1e-3
# A larger gain in contrast than this, outside the frame, gives away a contradiction. Sharpening stays below.
_SHARPENED = 1.04
# Steps that are taken before the first result in either case.
_REFINEMENT = 8


@iterative(num_iter=1)
def wiener(problem: Problem, *, noise_to_signal: float | Tensor | None = None, method: str = "fft") -> Iterator[Tensor]:
    r"""Wiener filter: the linear estimate of least mean square error.

    For scenes of the spectrum :math:`1 / (g + g^2)`, where g is the squared gradient's transfer function, and
    white noise, the estimate minimises

    .. math:: \| W (h * s - y) \|^2 + \lambda \big( \| \nabla s \|^2 + \| \nabla^2 s \|^2 \big)

    with W the part of the blurred scene that was observed. Were all of it observed, the minimum would be
    :math:`\bar H Y / R` with :math:`R = |H|^2 + \lambda (g + g^2)`, in one step. That is the first iteration,
    on an observation continued smoothly past the frame. The others are conjugate gradients preconditioned by
    R, which replace what was made up outside the frame by what the scene inside implies; eight of them are
    part of the first iteration where the noise is low or the continuation contradicts the blur. Every
    boundary but the circular one counts as unknown: a linear filter gains nothing from the others.

    Parameters
    ----------
    noise_to_signal: :math:`\lambda`, the variance of the noise over that of the scene; a number or `(B,)`.
        None: from `sigma`, and from the contrast and the slopes of the image, which are two estimates of the
        scene's variance; their geometric mean is used.
    method: how to divide by R. ``"fft"``: in the frequency domain; ``"recursive"``: by two exact inverses of
        causal convolutions, with the spectral factor of R; for images only.

    References
    ----------
    Wiener, "Extrapolation, interpolation, and smoothing of stationary time series", 1949. The recursive form:
    Ekstrom and Woods, "Two-dimensional spectral factorization with applications in recursive digital
    filtering", IEEE Transactions on Acoustics, Speech, and Signal Processing 24, 1976.
    """
    if method not in _METHODS:
        raise ValueError(f"method: unknown {method!r}, allowed are {', '.join(_METHODS)}")
    mean = problem.image.mean(problem.domain.axes, keepdim=True)
    domain = _centred(problem.domain, mean)
    power = domain.otf.real.square() + domain.otf.imag.square()
    power = power[(None,) * (problem.image.ndim - power.ndim)]
    gradient = Gradient(problem.space).power(domain.shape, problem.image)
    steepness = (power / (1 + gradient)).mean(domain.axes, keepdim=True)
    ratio = _noise_to_signal(problem, noise_to_signal, steepness)
    penalty = ratio * (gradient + gradient.square())
    scenes = _scenes(domain, power, penalty, ratio)
    if method == "recursive":
        scenes = map(_recursion(domain, ratio), scenes)
    brightness = power[(..., *[slice(0, 1)] * problem.space)].sqrt()
    for scene in scenes:
        yield scene + mean / brightness


def _scenes(domain: PaddedDomain, power: Tensor, penalty: Tensor, ratio: Tensor) -> Iterator[Tensor]:
    """The closed form and its refinements, or, where it needs them, refinements from the beginning."""
    inverse = (power + penalty).reciprocal()
    continued = extend(domain.image, domain.margins)
    spectrum = domain.otf.conj() * inverse * domain.fft(continued)
    first = domain.ifft(spectrum)
    at_once = itertools.chain([first], _refined(domain, penalty, inverse, spectrum))
    ahead = itertools.islice(_refined(domain, penalty, inverse, spectrum), _REFINEMENT - 1, None)
    # Decided for each sample, so that a batch gives what its samples give one by one.
    needy = _needs_refinement(domain, ratio, first, continued)
    if needy.all():
        yield from ahead
    elif not needy.any():
        yield from at_once
    for pair in zip(ahead, at_once, strict=True):
        yield torch.where(needy, *pair)


def _refined(domain: PaddedDomain, penalty: Tensor, inverse: Tensor, scene: Tensor) -> Iterator[Tensor]:
    """Conjugate gradients for the observed part alone, preconditioned by the inverse of R, from a spectrum on.

    Vectors are spectra: there, all but the weight of the pixels is diagonal.
    """
    otf, adjoint = domain.otf, domain.otf.conj().resolve_conj()
    missing = domain.observed - domain.weight * domain.ifft(otf * scene)
    residual = adjoint * domain.fft(missing) - penalty * scene
    direction, energy = None, None
    while True:
        step = inverse * residual
        previous, energy = energy, _dot(residual, step, domain.shape)
        direction = step if direction is None else step + _ratio(energy, previous) * direction
        seen = domain.weight * domain.ifft(otf * direction)
        image = adjoint * domain.fft(seen) + penalty * direction
        length = _ratio(energy, _dot(direction, image, domain.shape))
        scene = scene + length * direction
        residual = residual - length * image
        yield domain.ifft(scene)


def _dot(a: Tensor, b: Tensor, shape: Sequence[int]) -> Tensor:
    """Inner products of images given by their real-FFT spectra, up to a factor, for each sample and channel."""

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return torch.linalg.vecdot(a.flatten(2), b.flatten(2)).real

    # Each column stands for its mirror image too, but for the first and, where the width is even, the last.
    total = 2 * dot(a, b) - dot(a[..., :1], b[..., :1])
    if shape[-1] % 2 == 0:
        total = total - dot(a[..., -1:], b[..., -1:])
    return total.reshape(*total.shape, *[1] * len(shape))


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return a / b.clamp_min(torch.finfo(b.dtype).tiny)


def _centred(domain: PaddedDomain, mean: Tensor) -> PaddedDomain:
    """The domain of the observation less its mean, and without an assumption on what lies outside the frame.

    Rounding then is relative to the contrast. A linear estimate gains nothing from knowing that the outside
    is a mirror image, or zero: what the blur leaves of that is less than what conjugate gradients lose by it.
    """
    domain = copy.copy(domain)
    domain.image = domain.image - mean
    domain.observed = domain.observed - domain.weight * mean
    if domain.inside is not None:
        domain.boundary, domain.inside = "unknown", None
    return domain


def _needs_refinement(domain: PaddedDomain, ratio: Tensor, scene: Tensor, continued: Tensor) -> Tensor:
    """Whether the made-up part of the observation spoils the scene, for each sample, `(B, 1, 1, 1)`.

    It does so the farther the lower the noise is; and where it is not the blur of anything likely.
    Frequencies that the blur suppresses cannot be strong in an observation: where a continuation has them,
    the filter amplifies them, and the scene comes out with more contrast there than sharpening explains.
    """
    axes = tuple(range(1, scene.ndim))
    sampled = (..., *[slice(None, None, 2)] * len(domain.axes))  # a quarter of the pixels tells as much
    missing = 1 - domain.weight[domain.seen][sampled]
    contrast = [
        (missing * image.detach()[domain.seen][sampled].square()).sum(axes, keepdim=True)
        for image in (scene, continued)
    ]
    # Where nothing is missing, both are zero.
    return (contrast[0] > _SHARPENED * contrast[1]) | (ratio < _LOW_NOISE) & (contrast[1] > 0)


def _noise_to_signal(problem: Problem, given: Any, steepness: Tensor) -> Tensor:
    """The ratio for each sample, `(B or 1, 1, 1, 1)`; what it is estimated from is averaged over channels.

    steepness: sum of squared slopes of the blurred scene, for a scene of the model's spectrum and variance 1.
    """
    image, statistics = problem.image.detach(), problem.statistics
    ones = [1] * (image.ndim - 1)
    if given is not None:
        ratio = torch.as_tensor(given, dtype=image.dtype, device=image.device)
        if ratio.ndim > 1 or not bool(((ratio > 0) & ratio.isfinite()).all()):
            raise ValueError(f"noise_to_signal: expected a positive number, or one per sample, given {given}")
        return ratio.reshape(-1, *ones)

    def mean(values: Tensor) -> Tensor:
        return values.flatten(1).mean(1).reshape(-1, *ones)

    noise = mean(statistics.sigma.square())
    by_slopes = (mean(statistics.slopes) - 2 * problem.space * noise) / mean(steepness)
    by_contrast = mean(statistics.contrast.square())
    signal = (torch.maximum(by_slopes, _FLATTEST * by_contrast) * by_contrast).sqrt()
    return (noise / signal).clamp_min(_LEAST_RATIO)


def _recursion(domain: PaddedDomain, ratio: Tensor) -> Callable[[Tensor], Tensor]:
    """The filter in the spatial domain, on an observation completed by what a scene implies for the rest of
    it.
    """
    if len(domain.shape) != 2:
        raise ValueError('method: "recursive" is for images, volumes take "fft"')
    psf = _psf(domain)
    try:
        factor, transposed = wiener_factor(psf, ratio[..., 0, 0])
    except ValueError as error:
        raise ValueError(f'method: "recursive" does not suit this psf and noise: {error}; take "fft"') from None
    margins = fading_margins(psf.shape[-2:])

    def apply(scene: Tensor) -> Tensor:
        implied = domain.observed + (1 - domain.weight) * domain.blur(scene)
        periodic = extend(implied, margins, method="circular")
        return recursive_filter(periodic, margins, psf, factor, transposed=transposed)

    return apply


def _psf(domain: PaddedDomain) -> Tensor:
    """The psf of a domain, `(B or 1, C or 1, kh, kw)`, of odd size and without an empty border."""
    psf = domain.ifft(domain.otf)
    psf = psf[(None,) * (4 - psf.ndim)]
    seen = (psf.abs() > 1e-6 * psf.abs().max()).flatten(0, 1).any(0)
    for axis in (0, 1):
        distance = torch.arange(seen.shape[axis], device=psf.device)
        distance = torch.minimum(distance, seen.shape[axis] - distance)
        reach = int(distance[seen.any(1 - axis)].max())
        taps = torch.arange(-reach, reach + 1, device=psf.device)
        psf = psf.index_select(axis - 2, taps % seen.shape[axis])
    return psf
