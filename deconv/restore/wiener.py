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
from .canvas import Canvas
from .derivatives import Gradient
from .frame import iterative
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
    mean = problem.image.mean(problem.canvas.axes, keepdim=True)
    canvas = _centred(problem.canvas, mean)
    power = canvas.otf.real.square() + canvas.otf.imag.square()
    power = power[(None,) * (problem.image.ndim - power.ndim)]
    gradient = Gradient(problem.space).power(canvas.shape, problem.image)
    steepness = (power / (1 + gradient)).mean(canvas.axes, keepdim=True)
    ratio = _noise_to_signal(problem, noise_to_signal, steepness)
    penalty = ratio * (gradient + gradient.square())
    scenes = _scenes(canvas, power, penalty, ratio)
    if method == "recursive":
        scenes = map(_recursion(canvas, ratio), scenes)
    brightness = power[(..., *[slice(0, 1)] * problem.space)].sqrt()
    for scene in scenes:
        yield scene + mean / brightness


def _scenes(canvas: Canvas, power: Tensor, penalty: Tensor, ratio: Tensor) -> Iterator[Tensor]:
    """The closed form and its refinements, or, where it needs them, refinements from the beginning."""
    inverse = (power + penalty).reciprocal()
    continued = extend(canvas.image, canvas.margins)
    spectrum = canvas.otf.conj() * inverse * canvas.fft(continued)
    first = canvas.ifft(spectrum)
    at_once = itertools.chain([first], _refined(canvas, penalty, inverse, spectrum))
    ahead = itertools.islice(_refined(canvas, penalty, inverse, spectrum), _REFINEMENT - 1, None)
    # Decided for each sample, so that a batch gives what its samples give one by one.
    needy = _needs_refinement(canvas, ratio, first, continued)
    if needy.all():
        yield from ahead
    elif not needy.any():
        yield from at_once
    for pair in zip(ahead, at_once, strict=True):
        yield torch.where(needy, *pair)


def _refined(canvas: Canvas, penalty: Tensor, inverse: Tensor, scene: Tensor) -> Iterator[Tensor]:
    """Conjugate gradients for the observed part alone, preconditioned by the inverse of R, from a spectrum on.

    Vectors are spectra: there, all but the weight of the pixels is diagonal.
    """
    otf, adjoint = canvas.otf, canvas.otf.conj().resolve_conj()
    missing = canvas.observed - canvas.weight * canvas.ifft(otf * scene)
    residual = adjoint * canvas.fft(missing) - penalty * scene
    direction, energy = None, None
    while True:
        step = inverse * residual
        previous, energy = energy, _dot(residual, step, canvas.shape)
        direction = step if direction is None else step + _ratio(energy, previous) * direction
        seen = canvas.weight * canvas.ifft(otf * direction)
        image = adjoint * canvas.fft(seen) + penalty * direction
        length = _ratio(energy, _dot(direction, image, canvas.shape))
        scene = scene + length * direction
        residual = residual - length * image
        yield canvas.ifft(scene)


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


def _centred(canvas: Canvas, mean: Tensor) -> Canvas:
    """The canvas of the observation less its mean, and without an assumption on what lies outside the frame.

    Rounding then is relative to the contrast. A linear estimate gains nothing from knowing that the outside
    is a mirror image, or zero: what the blur leaves of that is less than what conjugate gradients lose by it.
    """
    canvas = copy.copy(canvas)
    canvas.image = canvas.image - mean
    canvas.observed = canvas.observed - canvas.weight * mean
    if canvas.inside is not None:
        canvas.boundary, canvas.inside = "unknown", None
    return canvas


def _needs_refinement(canvas: Canvas, ratio: Tensor, scene: Tensor, continued: Tensor) -> Tensor:
    """Whether the made-up part of the observation spoils the scene, for each sample, `(B, 1, 1, 1)`.

    It does so the farther the lower the noise is; and where it is not the blur of anything likely.
    Frequencies that the blur suppresses cannot be strong in an observation: where a continuation has them,
    the filter amplifies them, and the scene comes out with more contrast there than sharpening explains.
    """
    axes = tuple(range(1, scene.ndim))
    sampled = (..., *[slice(None, None, 2)] * len(canvas.axes))  # a quarter of the pixels tells as much
    missing = 1 - canvas.weight[canvas.seen][sampled]
    contrast = [
        (missing * image.detach()[canvas.seen][sampled].square()).sum(axes, keepdim=True)
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


def _recursion(canvas: Canvas, ratio: Tensor) -> Callable[[Tensor], Tensor]:
    """The filter in the spatial domain, on an observation completed by what a scene implies for the rest of
    it.
    """
    if len(canvas.shape) != 2:
        raise ValueError('method: "recursive" is for images, volumes take "fft"')
    psf = _psf(canvas)
    try:
        factor, transposed = wiener_factor(psf, ratio[..., 0, 0])
    except ValueError as error:
        raise ValueError(f'method: "recursive" does not suit this psf and noise: {error}; take "fft"') from None
    margins = fading_margins(psf.shape[-2:])

    def apply(scene: Tensor) -> Tensor:
        implied = canvas.observed + (1 - canvas.weight) * canvas.blur(scene)
        periodic = extend(implied, margins, method="circular")
        return recursive_filter(periodic, margins, psf, factor, transposed=transposed)

    return apply


def _psf(canvas: Canvas) -> Tensor:
    """The psf of a canvas, `(B or 1, C or 1, kh, kw)`, of odd size and without an empty border."""
    psf = canvas.ifft(canvas.otf)
    psf = psf[(None,) * (4 - psf.ndim)]
    seen = (psf.abs() > 1e-6 * psf.abs().max()).flatten(0, 1).any(0)
    for axis in (0, 1):
        distance = torch.arange(seen.shape[axis], device=psf.device)
        distance = torch.minimum(distance, seen.shape[axis] - distance)
        reach = int(distance[seen.any(1 - axis)].max())
        taps = torch.arange(-reach, reach + 1, device=psf.device)
        psf = psf.index_select(axis - 2, taps % seen.shape[axis])
    return psf
