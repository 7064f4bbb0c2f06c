"""The psf from a pair of photographs, one blurred and one sharp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from ..imaging.boundary import crop
from ..imaging.convolution import convolve, fast_length, valid_margins
from ..imaging.noise import estimate_noise
from ..ops.conjugate_gradients import conjugate_gradients
from .descent import descend, output_error
from .observation import window_size
from .support import simplex

__all__ = ["equation_error", "fit"]

_CONJUGATE_STEPS = 60
# Of the residual, relative to the right-hand side.
_TOLERANCE = 1e-5
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
    r"""Estimate the psf that turns one photograph into another.

    The *equation error* comes first, the least-squares solution of :math:`h * x = y` in the gradients, projected on
    the simplex: the most accurate psf. Steps from there on descend the *output error*,

    .. math:: \min_h \; \| x - R_h y \|^2 , \qquad h \ge 0, \; \sum h = 1,

    with :math:`R_h` the recursive Wiener filter of h, towards the psf with which that filter restores best: the
    gradient runs through two exact inverse convolutions and the spectral factor that they take their kernel from.

    Parameters
    ----------
    blurred, sharp : array_like
        The pair, of one shape and in register; see `deconv.imaging.arrays`.
    kernel_size : int or tuple of int
        The window, a number or `(kh, kw)`, made odd.
    num_iter : int
        Psfs that the descent tries, the equation error's the first; 0 or 1: that alone.
    noise_to_signal : float, optional
        Of the Wiener filter; by default from the noise of `blurred`.
    callback : callable, optional
        Called as ``callback(iteration, psf)``, stops by returning True.

    Returns
    -------
    Tensor
        The psf, `(kh, kw)`, for `deconv.imaging.convolve`: centred at ``((kh - 1) // 2, (kw - 1) // 2)``, nothing
        negative, sum 1; dtype and device of `blurred`. (`fit_causal` returns a kernel in correlation order instead, of
        which `causal_to_psf` makes a psf.)

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what is allowed.
    """
    (y, _), (x, _) = as_image_batch(blurred, name="blurred"), as_image_batch(sharp, name="sharp")
    if x.shape != y.shape:
        raise ValueError(f"sharp: its shape {tuple(sharp.shape)} differs from that of blurred, {tuple(blurred.shape)}")
    if not isinstance(num_iter, int) or num_iter < 0:
        raise ValueError(f"num_iter: expected a whole number of at least 0, given {num_iter!r}")
    if noise_to_signal is not None and not noise_to_signal > 0:
        raise ValueError(f"noise_to_signal: expected a positive number, given {noise_to_signal}")
    size = window_size(kernel_size, (y.shape[2], y.shape[3]))
    y, x = (image.detach().reshape(-1, 1, *image.shape[2:]) for image in (y, x.to(y)))
    start = simplex(equation_error(y, x, size))
    if noise_to_signal is None:
        noise = estimate_noise(y).square().mean()
        noise_to_signal = max(float(noise / y.var().clamp_min(1e-12)), _LEAST_RATIO)
    error = output_error(y, x, size, noise_to_signal=noise_to_signal)
    return descend(error, start, num_iter=num_iter, callback=callback)


def equation_error(blurred: Tensor, sharp: Tensor, size: tuple[int, int]) -> Tensor:
    """The least-squares psf, any signs, by conjugate gradients; images `(N, 1, H, W)`."""
    margins = valid_margins(size)
    # Of differences, so that the brightness does not dominate.
    pairs = [(crop(blurred, margins).diff(dim=axis), sharp.diff(dim=axis)) for axis in (-2, -1)]

    def normal(psf: Tensor) -> Tensor:
        rows, columns = (_correlate(x, convolve(x, psf)) for _, x in pairs)
        return rows + columns

    rows, columns = (_correlate(x, y) for y, x in pairs)
    target = rows + columns
    solution, residual = blurred.new_zeros(size), target
    steps = conjugate_gradients(normal, residual, solution)
    for _ in range(_CONJUGATE_STEPS):
        if residual.square().sum() <= _TOLERANCE**2 * target.square().sum():
            break
        solution, residual = next(steps)
    return solution


def _correlate(sharp: Tensor, blurred: Tensor) -> Tensor:
    """Adjoint of ``psf -> convolve(sharp, psf)``, over all images."""
    grid = tuple(fast_length(n) for n in sharp.shape[2:])
    spectrum = torch.fft.rfft2(sharp, s=grid) * torch.fft.rfft2(blurred, s=grid).conj()
    size = [n - m + 1 for n, m in zip(sharp.shape[2:], blurred.shape[2:], strict=True)]
    # lag[i] = sum over p of blurred[p] sharp[p + i], and the psf counts the other way round.
    lags = torch.fft.irfft2(spectrum.sum((0, 1)), s=grid)[: size[0], : size[1]]
    return lags.flip(0, 1)
