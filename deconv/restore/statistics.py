"""What automatic parameters are chosen by: noise, contrast, brightness and slopes of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ..imaging.noise import estimate_noise
from .arguments import as_sigma

__all__ = ["Limits", "Moments", "Statistics", "power_of_two", "sigma_clipped", "within"]

# Estimated noise is never below this part of the contrast. No picture is the exact blur of anything by the psf that
# one has; taken for one, it would be torn apart.
_LEAST_NOISE = 0.002

# Values so many standard deviations from the mean, as stars have them, are far. No photograph has any.
_OUTLYING = 10.0
_MOST_ROUNDS = 20

# The least variance of a frame's noise that counts, relative to that of the noisiest.
_LEAST_SHARE = 1e-12

# What is in the image's unit.
_MEASURED = ("sigma", "contrast", "mean", "brightness", "typical_contrast", "slopes")


@dataclass(frozen=True)
class Moments:
    """Of each channel of an image, `(B, C, 1, 1)`, in floating point of any precision.

    Parameters
    ----------
    mean, variance : Tensor
        Of the values.
    reach : Tensor
        Greatest distance of a value from the mean.
    """

    mean: Tensor
    variance: Tensor
    reach: Tensor


Limits = tuple[Tensor, Tensor]
"""A centre, and how far a value that counts is from it at most."""


@dataclass(frozen=True)
class Statistics:
    """What automatic parameters are chosen by; tensors that broadcast against the images, in their unit.

    Parameters
    ----------
    sigma : Tensor
        Standard deviation of the noise.
    contrast : Tensor
        Standard deviation of the image without its noise; the unit in which priors measure edges.
    mean : Tensor
        Of the image.
    brightness : Tensor
        Mean of the image, never below its contrast.
    typical_contrast : Tensor
        The contrast without the few values that are far from all others; by which linear methods weigh the noise, as
        stars would rule them everywhere.
    slopes : Tensor
        Root mean square of the differences of neighbours, noise included and the far values left out; squares are
        summed over the axes.
    contour_limit : Tensor, optional
        The greatest weight that `richardson_lucy` gives the total variation of a volume, see
        `deconv.restore.held_out_weight`, infinite for no limit; without unit. None where it is not decided yet.
    """

    sigma: Tensor
    contrast: Tensor
    mean: Tensor
    brightness: Tensor
    typical_contrast: Tensor
    slopes: Tensor
    contour_limit: Tensor | None = None

    @classmethod
    def of(cls, image: Tensor, sigma: Any = None, *, mask: Tensor | None = None) -> Statistics:
        """Measure each channel of `image`, `(B, C, H, W)` or `(B, C, D, H, W)`; the noise only if it is not given, and
        where the mask, which broadcasts, is not 0: what missing pixels were filled with has none."""
        unit = power_of_two(image.detach().abs().amax(tuple(range(1, image.ndim)), keepdim=True))
        scaled = image.detach() / unit  # its squares neither overflow nor vanish
        every, kept, limits = sigma_clipped(lambda limits: _moments(scaled, limits))
        noise = cls.noise_of(scaled, mask) if sigma is None else None
        deviation = None if sigma is None else as_sigma(sigma, image) / unit
        slopes = _slopes(scaled, limits)
        return cls.from_moments(every, kept, slopes, sigma=deviation, noise=noise).times(unit)

    @classmethod
    def from_moments(
        cls,
        every: Moments,
        kept: Moments,
        slopes: Tensor,
        *,
        sigma: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Statistics:
        """From the moments of all values, and of those that are not far from the others, and the mean squared
        difference of neighbours among these, summed over the axes; the noise as it is given, or else as it was
        estimated."""
        if sigma is None:
            if noise is None:
                raise ValueError("noise: expected what was estimated, as no sigma is given")
            sigma = torch.maximum(noise, _LEAST_NOISE * every.variance.sqrt())
        contrast = _contrast(every, sigma)
        brightness = torch.maximum(every.mean, contrast)
        return cls(sigma, contrast, every.mean, brightness, _contrast(kept, sigma), slopes.sqrt())

    @staticmethod
    def noise_of(image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Standard deviation of the noise of each channel, `(B, C, 1, 1)`; that of a volume is of its slices."""
        planes = image.reshape(-1, 1, *image.shape[-2:])
        known = None if mask is None else mask.expand_as(image).reshape(planes.shape)
        variance = estimate_noise(planes, mask=known).square().reshape(*image.shape[:2], -1).mean(-1)
        return variance.sqrt().reshape(*image.shape[:2], *[1] * (image.ndim - 2))

    @classmethod
    def of_frames(cls, frames: Sequence[Statistics], space: int) -> tuple[Statistics, Tensor]:
        """Of several frames of one latent image together, and how much each counts, see `deconv.restore.forward`.

        Parameters
        ----------
        frames : sequence of Statistics
            Of each.
        space : int
            Number of spatial axes, over which noise adds to the squared slopes.

        Returns
        -------
        statistics : Statistics
            Of an image with the noise of the weighted mean, and with the light and the contrast of the frames.
        shares : Tensor
            `(F, B or 1, C or 1, 1, 1)`, of sum 1.
        """
        sigma, contrast, means, brightness, typical, slopes = (
            torch.stack(torch.broadcast_tensors(*(getattr(frame, name) for frame in frames))) for name in _MEASURED
        )
        variance = sigma.square()
        # Of frames without any noise all count alike.
        largest = variance.amax(0)
        relative = torch.where(largest > 0, variance / largest, 1).clamp_min(_LEAST_SHARE)
        weights = relative.reciprocal()
        shares = weights / weights.sum(0)
        noise = largest / weights.sum(0)

        def mean(values: Tensor) -> Tensor:
            return (shares * values).sum(0)

        steep = (mean(slopes.square() - 2 * space * variance) + 2 * space * noise).clamp_min(0)
        together = cls(
            noise.sqrt(),
            mean(contrast.square()).sqrt(),
            mean(means),
            mean(brightness),
            mean(typical.square()).sqrt(),
            steep.sqrt(),
        )
        return together, shares

    @property
    def unit(self) -> Tensor:
        """The power of two next to the contrast of each sample, `(B or 1, 1, 1, 1)`."""
        return power_of_two(self.contrast.mean(1, keepdim=True))

    def to(self, place: torch.device | Tensor) -> Statistics:
        """The same on a device, or like a tensor."""
        part = None if self.contour_limit is None else self.contour_limit.to(place)
        return replace(self.map(lambda values: values.to(place)), contour_limit=part)

    def times(self, factor: Tensor) -> Statistics:
        """Of the image multiplied by a factor."""
        return self.map(lambda values: values * factor)

    def map(self, change: Callable[[Tensor], Tensor]) -> Statistics:
        """With another tensor in place of each that has the image's unit."""
        return replace(self, **{name: change(getattr(self, name)) for name in _MEASURED})


def sigma_clipped(measure: Callable[[Limits | None], Moments]) -> tuple[Moments, Moments, Limits | None]:
    """Moments of all values, and of those that are within ten standard deviations of their own mean.

    Parameters
    ----------
    measure : callable
        The moments of the values within limits, or of all.

    Returns
    -------
    every, kept : Moments
        The same where no value is far.
    limits : tuple of Tensor or None
        Those of `kept`; None if no value of any channel is far.
    """
    every = kept = measure(None)
    limits = None
    for _ in range(_MOST_ROUNDS):
        limit = torch.maximum(_OUTLYING * kept.variance.sqrt(), 1e-6 * kept.mean.abs())  # less is rounding
        if bool((kept.reach <= limit).all()):
            break
        limits = kept.mean, limit
        kept = measure(limits)
    flat = kept.variance == 0  # all that varies is far: then it is what counts
    if limits is not None:
        limits = limits[0], torch.where(flat, torch.inf, limits[1])
    both = (torch.where(flat, getattr(every, field.name), getattr(kept, field.name)) for field in fields(Moments))
    return every, Moments(*both), limits


def power_of_two(size: Tensor) -> Tensor:
    """The power of two above each size, 1 for zero: by which to divide without rounding."""
    mantissa = torch.frexp(size).mantissa
    return torch.where(size > 0, size / mantissa, 1)


def _contrast(moments: Moments, sigma: Tensor) -> Tensor:
    contrast = (moments.variance - sigma.square()).clamp_min(0).sqrt()
    contrast = torch.maximum(contrast, sigma.expand_as(contrast))
    # An image of one colour has no unit of its own, and needs none.
    contrast = torch.where(contrast > 1e-6 * moments.mean.abs(), contrast, moments.mean.abs())
    return torch.where(contrast > 0, contrast, 1)


def _moments(image: Tensor, limits: Limits | None) -> Moments:
    axes = tuple(range(2, image.ndim))
    kept = within(image, limits)
    centre = _mean(image, kept)
    offset = image - centre if kept is None else torch.where(kept, image - centre, 0)
    return Moments(centre, _mean(offset.square(), kept), offset.abs().amax(axes, keepdim=True))


def _slopes(image: Tensor, limits: Limits | None) -> Tensor:
    kept = within(image, limits)
    slopes = torch.zeros_like(image[(..., *[slice(1)] * (image.ndim - 2))])
    for axis in range(2, image.ndim):
        n = image.shape[axis]
        if n > 1:
            pairs = None if kept is None else kept.narrow(axis, 0, n - 1) & kept.narrow(axis, 1, n - 1)
            slopes = slopes + _mean(image.diff(dim=axis).square(), pairs)
    return slopes


def within(values: Tensor, limits: Limits | None) -> Tensor | None:
    """Which values count; None for all."""
    return None if limits is None else (values - limits[0]).abs() <= limits[1]


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    """Of each channel, of the values that count."""
    axes = tuple(range(2, values.ndim))
    if counted is None:
        return values.mean(axes, keepdim=True)
    total = torch.where(counted, values, 0).sum(axes, keepdim=True)
    return total / counted.sum(axes, keepdim=True).clamp_min(1)
