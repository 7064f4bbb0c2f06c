"""What automatic parameters are chosen by: noise, contrast, brightness and slopes of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..imaging.noise import estimate_noise
from .arguments import as_sigma

__all__ = ["Statistics"]

# Estimated noise is never below this part of the contrast. No picture is the exact blur of anything by the psf that
# one has; taken for one, it would be torn apart.
_LEAST_NOISE = 0.002


@dataclass(frozen=True)
class Statistics:
    """What automatic parameters are chosen by; tensors that broadcast against the images.

    Parameters
    ----------
    sigma : Tensor
        Standard deviation of the noise.
    contrast : Tensor
        Standard deviation of the image without its noise; the unit in which priors measure edges, so that a
        restoration does not depend on the unit of the image.
    brightness : Tensor
        Mean of the image, never below its contrast.
    slopes : Tensor
        Mean squared difference of neighbours, summed over the axes, noise included.
    """

    sigma: Tensor
    contrast: Tensor
    brightness: Tensor
    slopes: Tensor

    @classmethod
    def of(cls, image: Tensor, sigma: Any = None) -> Statistics:
        """Measure each channel of `image`, `(B, C, H, W)` or `(B, C, D, H, W)`; the noise only if it is not given."""
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
        """From what was measured, each `(B, C, 1, 1)`; the noise as it is given, or else as it was estimated."""
        if sigma is not None:
            deviation = as_sigma(sigma, mean)
        elif noise is not None:
            deviation = torch.maximum(noise, _LEAST_NOISE * variance.sqrt())
        else:
            raise ValueError("noise: expected what was estimated, as no sigma is given")
        contrast = (variance - deviation.square()).clamp_min(0).sqrt()
        contrast = torch.maximum(contrast, deviation.expand_as(contrast))
        # An image of one colour has no unit of its own, and needs none.
        contrast = torch.where(contrast > 1e-6 * mean.abs(), contrast, mean.abs())
        contrast = torch.where(contrast > 0, contrast, 1)
        return cls(deviation, contrast, torch.maximum(mean, contrast), slopes)

    @staticmethod
    def noise_of(image: Tensor) -> Tensor:
        """Standard deviation of the noise of each channel, `(B, C, 1, 1)`; that of a volume is of its slices."""
        planes = image.reshape(-1, 1, *image.shape[-2:])
        variance = estimate_noise(planes).square().reshape(*image.shape[:2], -1).mean(-1)
        return variance.sqrt().reshape(*image.shape[:2], *[1] * (image.ndim - 2))
