r"""What a blurred photograph's power spectrum says about its psf: whether one that was found can be right.

The power of photographs falls as a power of the frequency, not very differently in different directions, and a psf
multiplies it by its own. So

.. math:: \log P(\omega) = \log(|H(\omega)|^2 + n(\omega)) + \sum_k c_k \, b_k(\omega) + e(\omega)

with the noise n over the power without blur, few coefficients :math:`c_k` for the fall and its directions, normal, of
known spread, and independent errors e. A spectrum says nothing of phases, but a psf that explains it much worse than
some path does is wrong.

References: Goldstein and Fattal, "Blur-kernel estimation from spectral irregularities", ECCV 2012.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..imaging.psf import resample
from .image_step import Scale
from .random_paths import RandomPaths

__all__ = ["PowerSpectrum", "excess", "misfit"]

# The side of the tiles that spectra are averaged over, and of the grid of frequencies.
_GRID = 64
# The lowest frequency that counts, in steps of that grid, and the highest, in cycles per pixel.
_LOWEST, _HIGHEST = 2.5, 0.5
# Power that a psf is taken to leave at any frequency, next to its greatest, beside the noise: what leaks from others.
# The noise is compared with the mean power below so many cycles per pixel, where a psf changes little.
_FLOOR, _LOW = 0.01, 0.12
# Standard deviation of e, larger than that of the logarithm of one spectrum, as neighbours are alike; and of the
# coefficients: constant, power of the frequency, roll-off, and for the second and fourth harmonic of the direction,
# cosine and sine, each one that is constant and one that grows with the logarithm of the frequency.
_ERROR = 2.0
_SPREAD = (100.0, 0.5, 0.7, 0.5, 0.3, 0.5, 0.3, 0.35, 0.2, 0.35, 0.2)

# So many paths are drawn; the best of them have as many relatives, and the best of all again, nearer ones.
_DRAWN, _PARENTS, _STEPS = 1000, 40, (0.3, 0.2)
# What one psf is compared with the best path at: so many scales at most, where the window has so many pixels at most.
_SCALES, _LARGEST = 2, 19


class PowerSpectrum:
    """What the power spectrum of an image says about the psf that has blurred it.

    Parameters
    ----------
    image : Tensor
        `(1, 1, H, W)`.
    sigma : float
        Standard deviation of its noise.
    """

    def __init__(self, image: Tensor, sigma: float) -> None:
        down, right = torch.fft.fftfreq(_GRID)[:, None], torch.fft.rfftfreq(_GRID)[None]
        frequency = torch.hypot(down, right)
        counted = (frequency > _LOWEST / _GRID) & (frequency < _HIGHEST)
        twice = torch.where((right > 0) & (right < 0.5), 2.0, 1.0)  # a real image's other half is the same
        self._weight = (counted * twice.sqrt() / _ERROR).flatten()
        self._basis = self._weight[:, None] * _fall(frequency, torch.atan2(down, right)).flatten(0, 1)
        precision = self._basis.T @ self._basis + torch.tensor(_SPREAD).square().reciprocal().diag()
        self._covariance = torch.linalg.inv(precision)
        power = _power(image)
        lowest = power[counted & (frequency < _LOW)].mean()
        noise = 2 * sigma**2 * (2 - (2 * math.pi * down).cos() - (2 * math.pi * right).cos())
        self._floor = (_FLOOR + noise / lowest.clamp_min(1e-20)).flatten()
        observed = power.clamp_min(1e-20).log().flatten()
        self._observed = observed - observed[counted.flatten()].mean()  # of the size of e, for precision's sake

    def misfit(self, psfs: Tensor) -> Tensor:
        """Minus the log likelihood of psfs `(N, kh, kw)` with the best coefficients, up to a constant, `(N,)`."""
        spectrum = torch.fft.fft(torch.fft.rfft(psfs, _GRID), _GRID, 1).flatten(1)
        power = spectrum.real.square() + spectrum.imag.square()
        error = (self._observed - (power + self._floor).log()) * self._weight
        match = error @ self._basis
        return (error.square().sum(1) - ((match @ self._covariance) * match).sum(1)) / 2


def _fall(frequency: Tensor, direction: Tensor) -> Tensor:
    """The functions b of frequency and direction, `(n, m, 11)`."""
    slope = (frequency.clamp_min(1 / _GRID) / 0.2).log()
    functions = [torch.ones_like(slope), slope, (2 * frequency).square()]
    for harmonic in (2, 4):
        for wave in ((harmonic * direction).cos(), (harmonic * direction).sin()):
            functions += [wave, wave * slope]
    return torch.stack(functions, -1)


def _power(image: Tensor) -> Tensor:
    """The power of an image's gradients in tiles that fade out, such that white noise has its variance as power before
    it is differentiated, `(n, n // 2 + 1)`."""
    x = image[0, 0].cpu().float()
    gradients = torch.stack([x.diff(dim=0)[:, :-1], x.diff(dim=1)[:-1]])
    side = [min(n, _GRID) for n in gradients.shape[1:]]
    tiles = gradients.unfold(1, side[0], max(1, side[0] // 2)).unfold(2, side[1], max(1, side[1] // 2))
    fading = torch.outer(*(torch.sin(math.pi * torch.arange(1, n + 1) / (n + 1)) for n in side))
    spectrum = torch.fft.rfft2(tiles * (fading / fading.square().sum().sqrt()), s=(_GRID, _GRID))
    return spectrum.abs().square().sum(0).mean((0, 1))


def misfit(scales: Sequence[Scale], psf: Tensor) -> float:
    """How badly a psf explains the power spectrum, in nats, up to a constant.

    Parameters
    ----------
    scales : sequence of Scale
        From coarse to fine, each sqrt(2) times the last one, the last at full scale.
    psf : Tensor
        `(kh, kw)`, at full scale.
    """
    return sum(
        float(PowerSpectrum(scale.image, scale.sigma).misfit(resample(psf.cpu(), 2 ** (steps / 2))[None]))
        for steps, scale in _compared(scales)
    )


def excess(scales: Sequence[Scale], psf: Tensor) -> float:
    """How much worse a psf explains the power spectrum than the best of many random paths, in nats; the less, the
    better, and below zero where it explains it better; scales, psf: as for `misfit`."""
    least = (_least_misfit(PowerSpectrum(scale.image, scale.sigma), max(scale.size)) for _, scale in _compared(scales))
    return misfit(scales, psf) - sum(least)


def _compared(scales: Sequence[Scale]) -> list[tuple[int, Scale]]:
    """The scales that psfs are compared at, and how many steps below the finest they are."""
    return [(steps, scale) for steps, scale in enumerate(reversed(scales)) if max(scale.size) <= _LARGEST][:_SCALES]


def _least_misfit(spectrum: PowerSpectrum, size: int) -> float:
    """That of the best of paths in a window of that side: random ones, and their relatives."""
    generator = torch.Generator().manual_seed(0)
    paths = RandomPaths.drawn(_DRAWN, generator)
    misfit = spectrum.misfit(paths.psfs(size))
    for step in _STEPS:
        best = misfit.argsort()[:_PARENTS]
        relatives = paths.varied(best.repeat_interleave(_DRAWN // _PARENTS), step, generator)
        paths = paths.at(best).joined(relatives)
        misfit = torch.cat([misfit[best], spectrum.misfit(relatives.psfs(size))])
    return float(misfit.min())
