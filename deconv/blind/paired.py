r"""The psf from a pair of photographs, one blurred and one sharp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from ..imaging.boundary import crop, extend
from ..imaging.convolution import convolve, fast_length, valid_margins
from ..imaging.noise import estimate_noise
from ..nn.recursive_filter import fading_margins, recursive_filter, wiener_factor
from .conjugate_gradients import conjugate_gradients
from .observation import window
from .support import simplex

__all__ = ["descend", "equation_error", "fit"]

_CONJUGATE_STEPS = 60
_TOLERANCE = 1e-5
_RATE = 0.05
_LEAST_RATIO = 1e-4


def fit(
    blurred: Any,
    sharp: Any,
    kernel_size: int | tuple[int, int],
    *,
    num_iter: int = 0,
    noise_to_signal: float | None = None,
    callback: Callable[[int, Tensor], bool | None] | None = None,
) -> Tensor:
    r"""The psf that turns one photograph into another.

    The *equation error* comes first, the least-squares solution of :math:`h * x = y` in the gradients, brought to the
    simplex: the most accurate psf. Steps from there on descend the *output error*,

    .. math:: \min_h \; \| x - R_h y \|^2 , \qquad h \ge 0, \; \sum h = 1,

    with :math:`R_h` the recursive Wiener filter of h, towards the psf with which that filter restores best: the
    gradient runs through two exact inverse convolutions and the spectral factor that they take their kernel from.

    Parameters
    ----------
    blurred, sharp: the pair, of one shape and in register; see `deconv.imaging.arrays`.
    kernel_size: the window, a number or `(kh, kw)`, made odd.
    num_iter: steps of the descent; 0: the equation error alone.
    noise_to_signal: of the Wiener filter; None: from the noise of `blurred`.
    callback: called as ``callback(iteration, psf)``, stops by returning True.

    Returns
    -------
    psf `(kh, kw)`, nothing negative, sum 1.

    Raises
    ------
    TypeError, ValueError: naming the argument, what was given and what is allowed.
    """
    (y, _), (x, _) = as_image_batch(blurred, name="blurred"), as_image_batch(sharp, name="sharp")
    if x.shape != y.shape:
        raise ValueError(f"sharp: its shape {tuple(sharp.shape)} differs from that of blurred, {tuple(blurred.shape)}")
    if not isinstance(num_iter, int) or num_iter < 0:
        raise ValueError(f"num_iter: expected a whole number of at least 0, given {num_iter!r}")
    if noise_to_signal is not None and not noise_to_signal > 0:
        raise ValueError(f"noise_to_signal: expected a positive number, given {noise_to_signal}")
    size = window(kernel_size, tuple(y.shape[2:]))
    y, x = (image.detach().reshape(-1, 1, *image.shape[2:]) for image in (y, x.to(y)))
    start = simplex(equation_error(y, x, size))
    if noise_to_signal is None:
        noise = estimate_noise(y).square().mean()
        noise_to_signal = max(float(noise / y.var().clamp_min(1e-12)), _LEAST_RATIO)
    return descend(y, x, start, noise_to_signal=noise_to_signal, num_iter=num_iter, callback=callback)


def equation_error(blurred: Tensor, sharp: Tensor, size: tuple[int, int]) -> Tensor:
    """The least-squares psf, any signs, by conjugate gradients; images `(N, 1, H, W)`."""
    margins = valid_margins(size)
    # Of differences, that the brightness does not drown the rest.
    seen = [(crop(blurred, margins).diff(dim=axis), sharp.diff(dim=axis)) for axis in (-2, -1)]

    def normal(h: Tensor) -> Tensor:
        return sum(_correlate(x, convolve(x, h)) for _, x in seen)

    target = sum(_correlate(x, y) for y, x in seen)
    return conjugate_gradients(normal, target, blurred.new_zeros(size), num_iter=_CONJUGATE_STEPS, tolerance=_TOLERANCE)


def _correlate(sharp: Tensor, seen: Tensor) -> Tensor:
    """Adjoint of ``h -> convolve(sharp, h)``: correlate with the scene, over all images."""
    grid = tuple(fast_length(n) for n in sharp.shape[2:])
    spectrum = torch.fft.rfft2(sharp, s=grid) * torch.fft.rfft2(seen, s=grid).conj()
    size = [n - m + 1 for n, m in zip(sharp.shape[2:], seen.shape[2:], strict=True)]
    # lag[i] = sum over p of seen[p] sharp[p + i], and the psf counts the other way round.
    lags = torch.fft.irfft2(spectrum.sum((0, 1)), s=grid)[: size[0], : size[1]]
    return lags.flip(0, 1)


@torch.enable_grad()
def descend(
    blurred: Tensor,
    sharp: Tensor,
    start: Tensor,
    *,
    noise_to_signal: float,
    num_iter: int,
    callback: Callable[[int, Tensor], bool | None] | None = None,
) -> Tensor:
    """Descend the output error from a psf on the simplex, images `(N, 1, H, W)`; the best psf on the way."""
    mean = blurred.mean()
    margins = fading_margins(start.shape)
    canvas = extend(blurred - mean, margins)
    edge = max(start.shape) // 2
    inside = (..., slice(edge, -edge or None), slice(edge, -edge or None))
    target = (sharp - mean)[inside]
    # Taps at zero stay there: a multiplicative step never leaves the simplex, nor the support.
    logits = start.clamp_min(1e-12).log().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=_RATE)
    best, least = start, float("inf")
    for iteration in range(num_iter):
        psf = logits.reshape(-1).softmax(0).view_as(start)
        factor, transposed = wiener_factor(psf, noise_to_signal)
        error = (recursive_filter(canvas, margins, psf, factor, transposed=transposed)[inside] - target).square().mean()
        if float(error.detach()) < least:
            best, least = psf.detach(), float(error.detach())
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        if callback is not None and callback(iteration, psf.detach()):
            break
    return best
