r"""The psf step: least squares between the strongest gradients of the latent image and those of the observation.

.. math:: \min_{h \ge 0} \; \sum_d \| g_d * h - \nabla_d y \|^2 + \gamma \| h \|^2 ,
    \qquad h \text{ zero outside its window}

On the periodic domain the normal equations are a block Toeplitz matrix of the autocorrelation of g, cut to the window:
after two transforms of the image's size, accelerated projected gradients work on grids of twice the window's size.
Without the constraint, each error of the latent image is answered by a pair of taps of opposite signs; with it the
solution is far less noisy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..imaging.convolution import fast_length
from ..restore.shrinkage import squared

__all__ = ["RIDGE", "NormalEquations", "edge_threshold", "fit_psf", "strong_edges"]

RIDGE = 160.0

_DIRECTIONS = 4
_ITERATIONS = 60
# Change of a psf in one step, relative to its norm, at which it has settled.
_TOLERANCE = 1e-4


def edge_threshold(gradients: Tensor, count: int) -> Tensor:
    """The magnitude that at least `count` gradients reach in each of four directions, or all that there are.

    Weak gradients are noise, or details that the last psf has put there; but edges of one direction say nothing about
    the psf along themselves, so each direction must have its share.

    Parameters
    ----------
    gradients : Tensor
        `(2, N, H, W)`.

    Returns
    -------
    Tensor
        `(N, 1, 1)`.
    """
    energy = squared(gradients)
    direction = (torch.atan2(gradients[0], gradients[1]) * (_DIRECTIONS / math.pi)).floor() % _DIRECTIONS
    least = torch.full_like(energy[:, :1, 0], math.inf)
    for one in range(_DIRECTIONS):
        there = torch.where(direction == one, energy, -1).flatten(1)
        strong = there.topk(min(count, there.shape[1]), sorted=False).values
        least = torch.minimum(least, torch.where(strong < 0, math.inf, strong).amin(1, keepdim=True))
    return least.sqrt()[..., None]


def strong_edges(gradients: Tensor, threshold: Tensor) -> Tensor:
    """`gradients` where their magnitude is at least the threshold, and zero elsewhere."""
    return gradients * (squared(gradients) >= threshold * threshold)


@dataclass(frozen=True)
class NormalEquations:
    r"""The quadratic :math:`\tfrac12 h^T A h - b^T h` of psfs in their window.

    Attributes
    ----------
    spectrum : Tensor
        Of the rows of the Toeplitz matrix A, on the grid of the real FFT, `(N, gh, gw // 2 + 1)`; real.
    target : Tensor
        b, `(N, kh, kw)`.
    grid : list of int
        `[gh, gw]`, so large that no shift between two taps of the window wraps around.
    """

    spectrum: Tensor
    target: Tensor
    grid: list[int]

    @classmethod
    def of(
        cls,
        gradients: Tensor,
        observed: Tensor,
        size: tuple[int, int],
        *,
        ridge: float = RIDGE,
        variance: Tensor | float = 0.0,
    ) -> NormalEquations:
        """Arguments as for `fit_psf`."""
        shape = gradients.shape[2:]
        spectrum = torch.fft.rfft2(gradients)
        power = torch.fft.irfft2((spectrum.real.square() + spectrum.imag.square()).sum(0) + variance, s=shape)
        match = torch.fft.irfft2((spectrum.conj() * observed).sum(0), s=shape)
        target = _around_origin(match, [s // 2 for s in size], [(s - 1) // 2 for s in size])
        grid = [fast_length(2 * s - 1) for s in size]
        lags = _around_origin(power, [s - 1 for s in size], [s - 1 for s in size])
        lags = torch.nn.functional.pad(lags, (0, grid[1] - lags.shape[2], 0, grid[0] - lags.shape[1]))
        return cls(torch.fft.rfft2(lags.roll([1 - s for s in size], (1, 2))).real + ridge, target, grid)

    def product(self, psfs: Tensor) -> Tensor:
        """``A h``."""
        height, width = self.target.shape[1:]
        return torch.fft.irfft2(torch.fft.rfft2(psfs, s=self.grid) * self.spectrum, s=self.grid)[:, :height, :width]


def fit_psf(
    gradients: Tensor,
    observed: Tensor,
    size: tuple[int, int],
    *,
    start: Tensor,
    ridge: float = RIDGE,
    variance: Tensor | float = 0.0,
) -> Tensor:
    r"""The least-squares psfs, not negative, not of sum 1 yet.

    Parameters
    ----------
    gradients : Tensor
        g of the latent images, `(2, N, H, W)` on the periodic domain.
    observed : Tensor
        Spectrum of the gradients of the observation, `(2, 1, H, W // 2 + 1)`.
    size : tuple of int
        The window, `(kh, kw)`.
    start : Tensor
        `(N, kh, kw)`.
    ridge : float
        :math:`\gamma`.
    variance : Tensor or float
        Of the spectrum of g, summed over both directions, `(H, W // 2 + 1)`, where the latent image is known up to a
        covariance: the expected misfit is larger by it, times the power of the psf.

    Returns
    -------
    Tensor
        `(N, kh, kw)`.

    References
    ----------
    Beck and Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems", SIAM Journal on
    Imaging Sciences 2 (2009).
    """
    equations = NormalEquations.of(gradients, observed, size, ridge=ridge, variance=variance)
    grid, normal, target = equations.grid, equations.spectrum, equations.target
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
