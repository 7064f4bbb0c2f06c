"""The Wiener filter, for scenes that go on outside the frame."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..imaging.boundary import extend
from ..nn.recursive_filter import fading_margins, recursive_filter, wiener_factor
from .canvas import Canvas
from .derivatives import Gradient
from .frame import iterative
from .problem import Problem
from .quadratic import minimise

__all__ = ["wiener"]

_METHODS = ("fft", "recursive")

# The least noise-to-signal ratio: below it the filter would amplify the rounding of float32.
_LEAST_RATIO = 1e-7
_LARGEST_RATIO = 1e3

# Below this noise-to-signal ratio the filter reaches far, and so does what was made up outside the frame.
_LOW_NOISE = 1e-3
# A larger gain in contrast than this, outside the frame, gives away a contradiction. Sharpening stays below.
_SHARPENED = 1.1
# Steps that are taken before the first result in either case.
_REFINEMENT = 8


@iterative(num_iter=1)
def wiener(
    problem: Problem, *, noise_to_signal: float | Tensor | None = None, method: str = "fft"
) -> Iterator[Tensor]:
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
    canvas = _open(problem.canvas)
    power = canvas.otf.real.square() + canvas.otf.imag.square()
    power = power[(None,) * (problem.image.ndim - power.ndim)]
    gradient = Gradient(problem.space).power(canvas.shape, problem.image)
    steepness = (power / (1 + gradient)).mean(canvas.axes, keepdim=True)
    ratio = _noise_to_signal(problem, noise_to_signal, steepness)
    penalty = ratio * (gradient + gradient.square())
    scenes = _scenes(problem, canvas, power + penalty, penalty, ratio)
    if method == "fft":
        yield from scenes
    recursion = _recursion(canvas, ratio)
    for scene in scenes:
        yield recursion(canvas.observed + (1 - canvas.weight) * canvas.blur(scene))


def _scenes(
    problem: Problem, canvas: Canvas, denominator: Tensor, penalty: Tensor, ratio: Tensor
) -> Iterator[Tensor]:
    """The closed form and its refinements, or, where it needs them, refinements from the beginning."""
    continued = extend(problem.image, canvas.margins)
    first = canvas.ifft(canvas.otf.conj() * denominator.reciprocal() * canvas.fft(continued))
    at_once = itertools.chain([first], minimise(canvas, penalty, start=first))
    ahead = itertools.islice(minimise(canvas, penalty, start=first), _REFINEMENT - 1, None)
    # Decided for each sample, so that a batch gives what its samples give one by one.
    needy = _needs_refinement(canvas, ratio, first, continued)
    if needy.all():
        yield from ahead
    elif not needy.any():
        yield from at_once
    for pair in zip(ahead, at_once, strict=True):
        yield torch.where(needy, *pair)


def _open(canvas: Canvas) -> Canvas:
    """The canvas without its assumption on what lies outside the frame.

    A linear estimate gains nothing from knowing that it is a mirror image, or zero: what is left of the
    assumption after the blur is less than what conjugate gradients lose by it.
    """
    canvas = copy.copy(canvas)
    if canvas.inside is not None:
        canvas.boundary, canvas.inside = "unknown", None
    return canvas


def _needs_refinement(canvas: Canvas, ratio: Tensor, scene: Tensor, continued: Tensor) -> Tensor:
    """Whether the made-up part of the observation spoils the scene, for each sample, `(B, 1, 1, 1)`.

    It does so the farther the lower the noise is; and where it is not the blur of anything likely.
    Frequencies that the blur suppresses cannot be strong in an observation: where a continuation has them,
    the filter amplifies them, and the scene comes out with more contrast there than sharpening explains.
    """
    missing = 1 - canvas.weight
    mean = canvas.image.mean(canvas.axes, keepdim=True)
    axes = tuple(range(1, scene.ndim))
    contrast = [
        (missing * (image.detach() - mean).square()).sum(axes, keepdim=True) for image in (scene, continued)
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
    slopes = sum(mean(image.diff(dim=axis).square()) for axis in problem.canvas.axes if image.shape[axis] > 1)
    by_slopes = (slopes - 2 * problem.space * noise).clamp_min(0) / mean(steepness)
    by_contrast = mean(statistics.contrast.square())
    signal = (by_slopes * by_contrast).sqrt().clamp_min(torch.finfo(image.dtype).tiny)
    return (noise / signal).clamp(_LEAST_RATIO, _LARGEST_RATIO)


def _recursion(canvas: Canvas, ratio: Tensor) -> Callable[[Tensor], Tensor]:
    """The filter in the spatial domain: correlation with the psf, then two causal solves."""
    if len(canvas.shape) != 2:
        raise ValueError('method: "recursive" is for images, volumes take "fft"')
    psf = _psf(canvas)
    try:
        factor, transposed = wiener_factor(psf, ratio[..., 0, 0])
    except ValueError as error:
        raise ValueError(
            f'method: "recursive" does not suit this psf and noise: {error}; take "fft"'
        ) from None
    margins = fading_margins(psf.shape[-2:])

    def apply(image: Tensor) -> Tensor:
        mean = image.mean((-2, -1), keepdim=True)
        periodic = extend(image - mean, margins, method="circular")
        image = recursive_filter(periodic, margins, psf, factor, transposed=transposed)
        return image + mean / psf.sum((-2, -1), keepdim=True)

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
