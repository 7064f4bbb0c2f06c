"""One observation to restore: the arguments every method shares, checked and turned into tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch, as_psf
from ..imaging.noise import estimate_noise
from .padded_domain import PaddedDomain

__all__ = ["Problem", "Statistics", "as_filter", "as_kernel", "as_mask", "growing", "positive", "spatial_axes"]

# A pixel from here on is taken for clipped: 8-bit white, less the rounding of one decoder.
_CLIPPED = 254 / 255

# Estimated noise is never below this part of the contrast. No picture is the exact blur of a scene by the psf that one
# has; taken for one, it would be torn apart.
_LEAST_NOISE = 0.002


@dataclass(frozen=True)
class Statistics:
    """What automatic parameters are chosen by; tensors that broadcast against the images.

    sigma: standard deviation of the noise.
    contrast: standard deviation of the image without its noise; the unit in which priors measure edges, so that
        a restoration does not depend on the unit of the image.
    level: mean of the image, never below its contrast; the unit of brightness.
    slopes: mean squared difference of neighbours, summed over the axes, noise included.
    """

    sigma: Tensor
    contrast: Tensor
    level: Tensor
    slopes: Tensor

    @classmethod
    def of(cls, image: Tensor, sigma: Any = None) -> Statistics:
        """Measure each channel of `image`, `(B, C, H, W)` or `(B, C, D, H, W)`; the noise only if not given."""
        image = image.detach()
        axes = tuple(range(2, image.ndim))
        mean = image.mean(axes, keepdim=True)
        variance = (image - mean).square().mean(axes, keepdim=True)
        slopes = torch.zeros_like(mean)
        for axis in axes:
            if image.shape[axis] > 1:
                slopes = slopes + image.diff(dim=axis).square().mean(axes, keepdim=True)
        noise = cls.noise_of(image) if sigma is None else None
        return cls.from_moments(mean, variance, slopes, sigma=sigma, noise=noise)

    @classmethod
    def from_moments(
        cls, mean: Tensor, variance: Tensor, slopes: Tensor, *, sigma: Any = None, noise: Tensor | None = None
    ) -> Statistics:
        """From what was measured, each `(B, C, 1, 1)`; noise: what it was estimated at, where sigma is not given."""
        sigma = torch.maximum(noise, _LEAST_NOISE * variance.sqrt()) if sigma is None else _as_sigma(sigma, mean)
        contrast = (variance - sigma.square()).clamp_min(0).sqrt()
        contrast = torch.maximum(contrast, sigma.expand_as(contrast))
        # An image of one colour has no unit of its own, and needs none.
        contrast = torch.where(contrast > 1e-6 * mean.abs(), contrast, mean.abs())
        contrast = torch.where(contrast > 0, contrast, 1)
        return cls(sigma, contrast, torch.maximum(mean, contrast), slopes)

    @staticmethod
    def noise_of(image: Tensor) -> Tensor:
        """Noise level of every channel, `(B, C, 1, 1)`; that of a volume is measured in its slices."""
        planes = image.reshape(-1, 1, *image.shape[-2:])
        variance = estimate_noise(planes).square().reshape(*image.shape[:2], -1).mean(-1)
        return variance.sqrt().reshape(*image.shape[:2], *[1] * (image.ndim - 2))


@dataclass(frozen=True)
class Problem:
    """An observation as the methods see it.

    image: `(B, C, H, W)` or `(B, C, D, H, W)`, missing pixels filled in.
    domain: where the scene is laid out.
    statistics: what automatic parameters are chosen by.
    num_iter: how many iterations there will be at most, for methods with a schedule.
    """

    image: Tensor
    domain: PaddedDomain
    statistics: Statistics
    num_iter: int

    @classmethod
    def of(
        cls,
        image: Tensor,
        psf: Tensor,
        *,
        num_iter: int,
        sigma: Any = None,
        boundary: str = "unknown",
        mask: Any = None,
        statistics: Statistics | None = None,
    ) -> Problem:
        """Set up the problem for tensors; the keywords are those of the public functions."""
        domain = PaddedDomain(image, psf, boundary=boundary, mask=as_mask(mask, image))
        if statistics is None:
            statistics = Statistics.of(domain.image, sigma)
        elif sigma is not None:
            statistics = replace(statistics, sigma=_as_sigma(sigma, image))
        return cls(domain.image, domain, statistics, num_iter)

    @property
    def space(self) -> int:
        """Number of spatial axes."""
        return self.image.ndim - 2

    @property
    def noise_to_signal(self) -> Tensor:
        """Noise in units of the contrast, at most 1."""
        return self.statistics.sigma / self.statistics.contrast


def positive(penalty: Tensor | float, least: float = 1e-6) -> Tensor:
    """A penalty that splitting works with also where the weight it was derived from is zero."""
    return torch.as_tensor(penalty).clamp_min(least)


def growing(factors: tuple[float, float], weight: Tensor | float, num_iter: int) -> tuple[Tensor, float]:
    """First penalty and its growth per iteration, where it goes from one multiple of the weight to another."""
    first, last = factors
    return positive(first * weight), (last / first) ** (1 / max(num_iter - 1, 1))


def spatial_axes(psf: Any) -> int:
    """2 or 3: whether a psf is for images or for volumes."""
    if not hasattr(psf, "ndim"):
        raise TypeError(f"psf: expected an array, given {type(psf).__name__}")
    if not 2 <= psf.ndim <= 5:
        raise ValueError(f"psf: expected (kh, kw) or (kd, kh, kw), given the shape {tuple(psf.shape)}")
    return 2 if psf.ndim in (2, 4) else 3


def as_kernel(psf: Any, image: Tensor) -> Tensor:
    """The psf as a tensor, checked; one with leading axes, for samples and channels, is checked piece by piece."""
    space = spatial_axes(psf)
    if psf.ndim == space:
        return as_psf(psf, like=image, space=space)
    lead = tuple(psf.shape[:2])
    if any(given not in (1, there) for given, there in zip(lead, image.shape[:2], strict=True)):
        there = tuple(image.shape[:2])
        raise ValueError(f"psf: made for (samples, channels) = {lead}, the image has {there}")
    pieces = [as_psf(channel, like=image, space=space) for sample in psf for channel in sample]
    return torch.stack(pieces).unflatten(0, lead)


def as_filter(array: Any, image: Tensor, *, name: str) -> Tensor:
    """A small filter as a tensor, of any sum; it has the image's spatial axes."""
    taps = torch.as_tensor(array, dtype=image.dtype, device=image.device)
    if taps.ndim != image.ndim - 2 or taps.numel() == 0 or not bool(taps.isfinite().all()):
        raise ValueError(f"{name}: expected finite filters with {image.ndim - 2} axes, given {tuple(taps.shape)}")
    return taps


def _as_sigma(sigma: Any, image: Tensor) -> Tensor:
    """Noise level as a tensor `(B or 1, C or 1, 1, 1)`."""
    level = torch.as_tensor(sigma, dtype=image.dtype, device=image.device).detach()
    given = tuple(level.shape)
    if level.ndim < 2:
        level = level.reshape(-1, 1)
    if level.ndim == 2:
        level = level.reshape(*level.shape, *[1] * (image.ndim - 2))
    if level.ndim != image.ndim or any(
        n not in (1, m) for n, m in zip(level.shape, (*image.shape[:2], *[1] * image.ndim), strict=False)
    ):
        raise ValueError(f"sigma: the shape {given} does not fit (samples, channels) = {tuple(image.shape[:2])}")
    if not bool((level >= 0).all() and level.isfinite().all()):
        raise ValueError(f"sigma: must be finite and not negative, given {sigma}")
    return level


def as_mask(mask: Any, image: Tensor) -> Tensor | None:
    """The weight of each pixel, as a tensor that broadcasts against `image`."""
    if mask is None:
        return None
    if isinstance(mask, str):
        if mask != "auto":
            raise ValueError(f'mask: expected an array or "auto", given {mask!r}')
        return (image < _CLIPPED).to(image)
    weight, _ = as_image_batch(mask, space=image.ndim - 2, name="mask")
    weight = weight.to(image)
    fits = all(n in (1, m) for n, m in zip(weight.shape[:2], image.shape[:2], strict=True))
    if not fits or weight.shape[2:] != image.shape[2:]:
        raise ValueError(f"mask: the shape {tuple(mask.shape)} does not fit an image {tuple(image.shape)}")
    if float(weight.min()) < 0 or float(weight.max()) > 1:
        raise ValueError("mask: its weights must be in [0, 1]")
    return weight
