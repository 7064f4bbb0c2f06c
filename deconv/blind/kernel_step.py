r"""The psf step: least squares between the gradients of the sharpened scene and those of the observation.

.. math:: \min_{h \ge 0} \; \sum_d \| g_d * h - \nabla_d y \|^2 + \gamma \| h \|^2 ,
    \qquad h \text{ zero outside its window}

On the torus the normal equations are a block Toeplitz matrix of the autocorrelation of g, cut to the window: after
two transforms of the image's size, accelerated projected gradients work on grids of twice the window's size. Weights
that may be negative answer each error of the scene with a pair of opposite ones; those that may not are far quieter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..imaging.convolution import fast_length

__all__ = ["fit_psf"]

_ITERATIONS = 60
# Change of a psf in one step, relative to its norm, at which it has settled.
_TOLERANCE = 1e-4


def fit_psf(
    slopes: Tensor,
    observed: Tensor,
    size: tuple[int, int],
    *,
    ridge: float,
    start: Tensor,
    doubt: Tensor | float = 0.0,
) -> Tensor:
    """The least-squares psfs `(N, kh, kw)`, not negative, not of sum 1 yet.

    slopes: gradients of the scenes, `(2, N, H, W)` on a torus. observed: the spectrum of those of the observation,
    `(2, 1, H, W // 2 + 1)`. ridge: gamma. start: where to begin. doubt: the variance of the spectrum of the gradients,
    summed over both, where they are not known exactly: the misfit to be expected grows by it, times the psf's power.

    Reference: Beck and Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems", SIAM
    Journal on Imaging Sciences 2 (2009).
    """
    shape = slopes.shape[2:]
    spectrum = torch.fft.rfft2(slopes)
    power = torch.fft.irfft2((spectrum.real.square() + spectrum.imag.square()).sum(0) + doubt, s=shape)
    match = torch.fft.irfft2((spectrum.conj() * observed).sum(0), s=shape)
    target = _around_origin(match, [s // 2 for s in size], [(s - 1) // 2 for s in size])

    grid = [fast_length(2 * s - 1) for s in size]
    lags = _around_origin(power, [s - 1 for s in size], [s - 1 for s in size])
    lags = torch.nn.functional.pad(lags, (0, grid[1] - lags.shape[2], 0, grid[0] - lags.shape[1]))
    normal = torch.fft.rfft2(lags.roll([1 - s for s in size], (1, 2))).real + ridge
    step = 1 / normal.amax((1, 2), keepdim=True)
    remaining, target = 1 - step * normal, step * target  # one step of descent: what stays, and what comes to it

    psf, ahead, momentum = start, start, 1.0
    settled = torch.zeros_like(step, dtype=torch.bool)  # each for itself: a psf does not depend on those beside it
    for _ in range(_ITERATIONS):
        stays = torch.fft.irfft2(torch.fft.rfft2(ahead, s=grid) * remaining, s=grid)[:, : size[0], : size[1]]
        last, psf = psf, torch.where(settled, psf, (stays + target).clamp_min_(0))
        settled = (psf - last).square().sum((1, 2), True) <= _TOLERANCE**2 * psf.square().sum((1, 2), True)
        if settled.all():
            break
        previous, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = torch.lerp(last, psf, 1 + (previous - 1) / momentum)
    return psf


def _around_origin(periodic: Tensor, before: list[int], after: list[int]) -> Tensor:
    """The part of periodic images from `before` pixels before their origin to `after` pixels behind it."""
    rolled = periodic.roll(before, (1, 2))
    return rolled[:, : before[0] + after[0] + 1, : before[1] + after[1] + 1]
