r"""The psf step: least squares between the gradients of the sharpened scene and those of the observation.

.. math:: \min_h \; \sum_d \| g_d * h - \nabla_d y \|^2 + \gamma \| h \|^2 , \qquad h \text{ zero outside its window}

On the torus the normal equations are a block Toeplitz matrix of the autocorrelation of g, cut to the window: after
two transforms of the image's size, conjugate gradients work on grids of twice the window's size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.convolution import fast_length
from .conjugate_gradients import conjugate_gradients

__all__ = ["fit_psf"]

_ITERATIONS = 40
_TOLERANCE = 1e-4


def fit_psf(
    slopes: Tensor, observed: Tensor, size: tuple[int, int], *, ridge: float, start: Tensor | None = None
) -> Tensor:
    """The least-squares psf `(kh, kw)`, neither non-negative nor of sum 1 yet.

    slopes: gradients of the scene, `(2, H, W)` on a torus. observed: those of the observation.
    ridge: gamma. start: where to begin.
    """
    shape = slopes.shape[1:]
    spectrum = torch.fft.rfft2(slopes)
    power = torch.fft.irfft2((spectrum.real.square() + spectrum.imag.square()).sum(0), s=shape)
    match = torch.fft.irfft2((spectrum.conj() * torch.fft.rfft2(observed)).sum(0), s=shape)
    target = _around_origin(match, [s // 2 for s in size], [(s - 1) // 2 for s in size])

    grid = [fast_length(2 * s - 1) for s in size]
    lags = _around_origin(power, [s - 1 for s in size], [s - 1 for s in size])
    lags = torch.nn.functional.pad(lags, (0, grid[1] - lags.shape[1], 0, grid[0] - lags.shape[0]))
    transfer = torch.fft.rfft2(lags.roll([1 - s for s in size], (0, 1))).real

    def normal(h: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(h, s=grid) * transfer, s=grid)[: size[0], : size[1]] + ridge * h

    first = torch.zeros_like(target) if start is None else start
    return conjugate_gradients(normal, target, first, num_iter=_ITERATIONS, tolerance=_TOLERANCE)


def _around_origin(periodic: Tensor, before: list[int], after: list[int]) -> Tensor:
    """The part of a periodic image from `before` pixels before its origin to `after` pixels behind it."""
    rolled = periodic.roll(before, (0, 1))
    return rolled[: before[0] + after[0] + 1, : before[1] + after[1] + 1]
