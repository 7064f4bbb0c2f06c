r"""The spectra of a latent image and of its noise, estimated from one blurred observation.

The observation's periodogram I is modelled as

.. math:: f(\omega) = |H(\omega)|^2 S(\omega) + n, \qquad S(\omega) = g\,(|\omega|^2 + \epsilon)^{-\gamma}

with a power law for the latent image, as photographs follow, and white noise. The three parameters maximise Whittle's
likelihood :math:`-\sum_\omega \log f + I / f`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..imaging.convolution import psf_to_otf
from .derivatives import Gradient

__all__ = ["Spectra", "fit_spectra", "frequency_counts", "hann_smoothed", "log_frequency", "periodogram"]

_STEPS, _LONGEST_STEP, _CLOSE_ENOUGH = 50, 1.0, 1e-3

# Squared frequency at which the power law levels off: half a period in a hundred pixels.
_FLAT = 1e-3

# The window's own width: frequencies that it mixes with the mean say nothing about the image's spectrum.
_LEAKAGE = 2


@dataclass(frozen=True)
class Spectra:
    r"""The spectra of the latent image and the noise.

    Parameters
    ----------
    log_gain, slope, log_noise : Tensor
        :math:`\log g`, :math:`\gamma` and :math:`\log n`, float64, `(B, C)`.
    """

    log_gain: Tensor
    slope: Tensor
    log_noise: Tensor

    def noise_to_signal(self, shape: Sequence[int]) -> Tensor:
        """n / S on the grid of the real FFT of the given shape; 0 at frequency zero: the mean is not shrunk."""
        frequency = log_frequency(shape, self.slope)
        gain, slope, noise = (_as_spectrum(t, len(shape)) for t in (self.log_gain, self.slope, self.log_noise))
        ratio = torch.exp(noise - gain + slope * frequency)
        ratio[(..., *[0] * len(shape))] = 0
        return ratio


def fit_spectra(image: Tensor, psf: Tensor, sigma: Tensor) -> Spectra:
    """Fit each channel of an image by Fisher scoring.

    Parameters
    ----------
    image : Tensor
        `(B, C, H, W)` or `(B, C, D, H, W)`.
    psf : Tensor
        As for `PaddedDomain`.
    sigma : Tensor
        A first guess of the standard deviation of the noise, broadcasts against `image`.

    Returns
    -------
    Spectra
        For each sample and channel.
    """
    shape, space = image.shape[2:], image.ndim - 2
    axes = tuple(range(-space, 0))
    image = image.detach().double()
    measured = periodogram(image)
    blur = psf_to_otf(psf.detach().double(), shape).abs().square()
    frequency = log_frequency(shape, image)
    count = frequency_counts(shape, image)

    variance = (count * measured).sum(axes) / math.prod(shape)
    floor = 1e-12 * variance.clamp_min(1e-300)
    noise = sigma.detach().double().square().expand(*image.shape[:2], *[1] * space).reshape(image.shape[:2])
    noise = torch.maximum(noise, floor)
    slope = torch.ones_like(noise)
    law = (count * blur * torch.exp(-frequency)).sum(axes) / math.prod(shape)
    theta = torch.stack([((variance - noise).clamp_min(floor) / law).log(), slope, noise.log()], -1)
    for _ in range(_STEPS):
        gain, slope, noise = (_as_spectrum(t, space) for t in theta.unbind(-1))
        signal = blur * torch.exp(gain - slope * frequency)
        total = (signal + noise.exp()).clamp_min(1e-300)
        # Derivatives of log f by the three parameters.
        share = signal / total
        slopes = torch.stack([share, -frequency * share, 1 - share], 2)
        score = (slopes * (count * (measured / total - 1)).unsqueeze(2)).flatten(3).sum(-1)
        weighted = (slopes * count).flatten(3)
        information = weighted @ slopes.flatten(3).mT
        ridge = 1e-9 * information.diagonal(dim1=-2, dim2=-1).amax(-1).clamp_min(1e-300)
        information = information + ridge[..., None, None] * torch.eye(3).to(information)
        step = torch.linalg.solve(information, score.unsqueeze(-1)).squeeze(-1)
        step = step.clamp(-_LONGEST_STEP, _LONGEST_STEP)
        theta = theta + step
        if float(step.abs().max()) < _CLOSE_ENOUGH:
            break
    return Spectra(*theta.unbind(-1))


def periodogram(image: Tensor) -> Tensor:
    """Power of each frequency of the real FFT, of an image less its mean under Hann's window; float64 for float64."""
    shape = image.shape[2:]
    axes = tuple(range(2, image.ndim))
    window = _window(shape, image)
    mean = (image * window.square()).mean(axes, keepdim=True)
    return torch.fft.rfftn((image - mean) * window, dim=axes).abs().square() / math.prod(shape)


def _window(shape: Sequence[int], like: Tensor) -> Tensor:
    """Hann's window with unit mean square: the observation's borders do not match, and would leak."""
    window = like.new_ones(())
    for n in shape:
        window = window.unsqueeze(-1) * torch.hann_window(n + 2, periodic=False).to(like)[1:-1]
    return window / window.square().mean().sqrt()


def hann_smoothed(spectra: Tensor, shape: Sequence[int]) -> Tensor:
    """Spectra on the grid of the real FFT as Hann's window shows them: along each axis, two thirds of a frequency and a
    sixth of each neighbour."""
    last = shape[1] // 2
    before, after = (spectra[..., k : k + 1].flip(-2).roll(1, -2) for k in (1, shape[1] - last - 1))
    wide = torch.cat([before, spectra, after], -1)
    spectra = 2 / 3 * spectra + (wide[..., :-2] + wide[..., 2:]) / 6
    return 2 / 3 * spectra + (spectra.roll(1, -2) + spectra.roll(-1, -2)) / 6


def frequency_counts(shape: Sequence[int], like: Tensor) -> Tensor:
    """How often the full FFT holds each frequency of the real one; 0 for those near frequency zero."""
    last = shape[-1] // 2 + 1
    count = torch.full((last,), 2.0).to(like)
    count[0] = 1
    if shape[-1] % 2 == 0:
        count[-1] = 1
    near = torch.ones((), dtype=torch.bool, device=like.device)
    for axis, n in enumerate(shape):
        index = torch.arange(last if axis == len(shape) - 1 else n, device=like.device)
        near = near.unsqueeze(-1) & (torch.minimum(index, n - index) < min(_LEAKAGE, n))
    return count * ~near


def log_frequency(shape: Sequence[int], like: Tensor) -> Tensor:
    r""":math:`\log(|\omega|^2 + \epsilon)` on the grid of the real FFT."""
    return (Gradient(len(shape)).power(shape, like) + _FLAT).log()


def _as_spectrum(parameter: Tensor, space: int) -> Tensor:
    return parameter.reshape(*parameter.shape, *[1] * space)
