r"""The effective noise level of an observation whose psf is not exact.

A measured psf h is not quite the true one, and what it gets wrong, blurring the latent image, is noise to whoever knows
h only. No estimate of the noise sees it, since it has the spectrum of a blurred image; but it is there at frequencies
that h does not pass. If the error of the transfer function H is as strong at all frequencies, of variance e, then the
observation's spectrum is

.. math:: f(\omega) = K * \big( (|H|^2 + e)\, S \big)(\omega) + \sigma^2

with K the spectrum of the window that the frame is seen through, and S that of the latent image: nearly a power law,

.. math:: \log S(\omega) = a_0 - a_1 \ell + a_2 \ell^2 + a_3 \cos 2\theta + a_4 \sin 2\theta, \qquad
    \ell = \log(|\omega|^2 + \epsilon), \quad \theta = \arg \omega .

Given :math:`\sigma`, Whittle's likelihood tells e and the a.

Methods know white noise. What they are told is that of which a Wiener filter, whose signal has the spectrum
:math:`(|\omega|^2 + \epsilon)^{-1}` that smoothing of the gradient stands for, leaves the least error behind where the
true noise is :math:`\sigma^2 + e S`, relative to what it is with :math:`\sigma^2` alone.

Reference: Whittle, "Estimation and information in stationary time series", Arkiv för Matematik 1953.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..imaging.boundary import crop
from ..imaging.convolution import psf_to_otf
from .spectra import frequency_counts, hann_smoothed, log_frequency, periodogram
from .statistics import Statistics

__all__ = ["SIDE", "with_psf_error"]

SIDE = 256
"""Side of the central crop whose spectrum is fitted, in pixels."""

# Fisher scoring: the first guess of log e, from where on the psf counts as exact, how many steps, and how long.
_FIRST, _EXACT, _STEPS, _LONGEST_STEP, _CLOSE_ENOUGH = -9.0, -11.0, 40, 1.0, 1e-2

# Candidates for the effective variance, over that of the noise; and into how many groups frequencies are gathered
# that count as alike.
_CANDIDATES = torch.logspace(-2, 5, 141, dtype=torch.float64)
_GROUPS = 512

# Noise is raised by no less: on photographs of the training part of the Berkeley data set, it is up to 1.15 times with
# the true psf.
_LEAST_RATIO = 1.2

# Missing or clipped pixels have another spectrum: no more of them than this.
_MISSING = 0.005


def with_psf_error(
    statistics: Statistics, image: Tensor, psf: Tensor, *, mask: Tensor | None = None, clipped: Tensor | None = None
) -> Statistics:
    """Raise the noise level by what the error of the psf leaves unexplained.

    Parameters
    ----------
    statistics : Statistics
        Of the image.
    image : Tensor
        `(B, C, H, W)`; others are left with the noise that they have.
    psf : Tensor
        `(kh, kw)`, or behind two axes that broadcast against B and C.
    mask, clipped : Tensor, optional
        As for `PaddedDomain`. Where much is missing or clipped, nothing is counted.

    Returns
    -------
    Statistics
        With the same noise or a greater one, for each channel.
    """
    if image.ndim != 4:
        return statistics
    spare = [max(n - SIDE, 0) for n in image.shape[2:]]
    margins = [(n // 2, n - n // 2) for n in spare]
    middle = crop(image.detach(), margins).double().cpu()
    missing = [1 - crop(mask, margins)] if mask is not None else []
    missing += [crop(clipped, margins).abs()] if clipped is not None else []
    if any(float(part.double().mean()) > _MISSING for part in missing):
        return statistics
    if any(n < 2 * size for n, size in zip(middle.shape[2:], psf.shape[-2:], strict=True)):
        return statistics
    sigma = statistics.sigma.expand(*image.shape[:2], 1, 1)
    psfs = psf.detach().double().cpu().expand(*image.shape[:2], -1, -1)
    ratios = [
        _ratio(plane, blur, noise)
        for plane, blur, noise in zip(
            middle.flatten(0, 1), psfs.flatten(0, 1), sigma.flatten().double().tolist(), strict=True
        )
    ]
    raised = sigma * torch.tensor(ratios).to(sigma).view_as(sigma)
    # A spectrum of few frequencies may be fitted by an error that leaves no signal: that is none.
    return replace(statistics, sigma=torch.where(raised < statistics.contrast, raised, sigma))


def _ratio(plane: Tensor, psf: Tensor, sigma: float) -> float:
    """Effective noise level of one plane `(H, W)`, relative to its noise."""
    noise = sigma**2
    spectra = _fit(plane, psf, noise) if noise > 0 else None
    if spectra is None:
        return 1.0
    signal, blurred, error, count = spectra
    # What smoothing of the gradient takes the latent image for.
    smooth = torch.exp(-log_frequency(plane.shape, plane))
    passed = blurred / signal * smooth * (count * blurred).sum() / (count * blurred / signal * smooth).sum()

    scale = passed.clamp_min(1e-12 * float(passed.max())).log()
    low, high = float(scale.min()), float(scale.max())
    group = ((scale - low) * ((_GROUPS - 1) / max(high - low, 1e-12))).round().long().flatten()
    levels = torch.linspace(low, high, _GROUPS, dtype=passed.dtype).exp()

    def of_groups(values: Tensor) -> Tensor:
        return torch.zeros_like(levels).index_add(0, group, (count * values).flatten())

    filters = levels / (levels + noise * _CANDIDATES[:, None])
    smoothed = (1 - filters).square() @ of_groups(signal)

    def effective(variance: Tensor) -> float:
        amplified = filters.square() @ of_groups(variance * signal / blurred.clamp_min(1e-300))
        return float(_CANDIDATES[int((smoothed + amplified).argmin())])

    ratio = math.sqrt(effective(noise + error) / effective(torch.full_like(error, noise)))
    return ratio if ratio >= _LEAST_RATIO else 1.0


def _fit(plane: Tensor, psf: Tensor, noise: float) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Spectra of the latent image, of its blur, and of what the psf gets wrong, and how often each frequency counts.
    None where the psf is exact."""
    shape = plane.shape
    measured = periodogram(plane[None, None])[0, 0]
    power = psf_to_otf(psf, shape).abs().square()
    frequency, count = log_frequency(shape, plane), frequency_counts(shape, plane)
    variance = float((count * measured).sum()) / math.prod(shape)
    if variance <= noise:  # nothing but noise, or one colour
        return None
    law = float((count * power * torch.exp(-frequency)).sum()) / math.prod(shape)
    terms = torch.cat([torch.stack([torch.ones_like(frequency), -frequency]), _shape_terms(shape, frequency)])
    theta = torch.zeros(len(terms) + 1).to(plane)
    theta[0], theta[1] = math.log((variance - noise) / law), 1.0
    theta[-1] = _FIRST
    for _ in range(_STEPS):
        signal = torch.einsum("k,khw->hw", theta[:-1], terms).exp()
        blurred, error = hann_smoothed(torch.stack([power * signal, theta[-1].exp() * signal]), shape)
        total = blurred + error + noise
        # Derivatives of log f by the parameters; across the window's width the terms are as good as constant.
        slopes = torch.cat([terms * ((blurred + error) / total), (error / total)[None]])
        score = (slopes * (count * (measured / total - 1))).flatten(1).sum(1)
        information = (slopes * count).flatten(1) @ slopes.flatten(1).T
        ridge = 1e-6 * information.diagonal().max()
        step = torch.linalg.solve(information + ridge * torch.eye(len(theta)).to(plane), score)
        step = step.clamp(-_LONGEST_STEP, _LONGEST_STEP)
        theta = theta + step
        if not bool(theta.isfinite().all()) or float(theta[-1]) < _EXACT:
            return None
        if float(step.abs().max()) < _CLOSE_ENOUGH:
            break
    signal = torch.einsum("k,khw->hw", theta[:-1], terms).exp()
    return signal, power * signal, theta[-1].exp() * signal, count


def _shape_terms(shape: torch.Size, log_frequency: Tensor) -> Tensor:
    """What the logarithm of a spectrum has beside a power law: a curvature, and more power in one direction."""
    rows = torch.fft.fftfreq(shape[0]).to(log_frequency)[:, None].expand_as(log_frequency)
    columns = torch.fft.rfftfreq(shape[1]).to(log_frequency).expand_as(log_frequency)
    angle = 2 * torch.atan2(rows, columns)
    return torch.stack([(log_frequency / 4).square(), angle.cos(), angle.sin()])
