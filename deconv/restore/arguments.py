"""The arguments that every restoration shares, checked and turned into tensors."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ..imaging.arrays import as_psf

__all__ = ["Space", "as_filter", "as_psfs", "as_sigma", "check_weight", "per_channel", "space_of", "spatial_axes"]

Space = Literal[2, 3]


def space_of(image: Tensor) -> Space:
    """Number of spatial axes of `(B, C, H, W)` or `(B, C, D, H, W)`."""
    return 2 if image.ndim == 4 else 3


def spatial_axes(psf: Any) -> Space:
    """2 or 3: whether a psf is for images or for volumes."""
    if not hasattr(psf, "ndim"):
        raise TypeError(f"psf: expected an array, given {type(psf).__name__}")
    if not 2 <= psf.ndim <= 5:
        raise ValueError(f"psf: expected (kh, kw) or (kd, kh, kw), given the shape {tuple(psf.shape)}")
    return 2 if psf.ndim in (2, 4) else 3


def as_psfs(psf: Any, image: Tensor) -> Tensor:
    """The psf as a tensor, checked.

    Parameters
    ----------
    psf : array or Tensor
        `(kh, kw)` or `(kd, kh, kw)`; behind two axes, each of the image's size or 1, one for each sample and channel.
    image : Tensor
        `(B, C, H, W)` or `(B, C, D, H, W)`, which it is for.

    Returns
    -------
    Tensor
        Of the shape of `psf`, of the dtype and on the device of `image`.
    """
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
    """A small filter of any sum as a tensor; it has the image's spatial axes."""
    taps = torch.as_tensor(array, dtype=image.dtype, device=image.device)
    if taps.ndim != image.ndim - 2 or taps.numel() == 0 or not bool(taps.isfinite().all()):
        raise ValueError(f"{name}: expected finite filters with {image.ndim - 2} axes, given {tuple(taps.shape)}")
    return taps


def as_sigma(sigma: Any, image: Tensor) -> Tensor:
    """The standard deviation of the noise as a tensor `(B or 1, C or 1, 1, 1)`."""
    return per_channel(sigma, image, name="sigma").detach()


def check_weight(weight: float | Tensor, *, name: str = "weight") -> None:
    """Refuse a weight of a penalty that is negative, NaN or infinite."""
    numbers = torch.as_tensor(weight).detach()
    if not bool((numbers >= 0).all() and numbers.isfinite().all()):
        raise ValueError(f"{name}: must be finite and not negative, given {weight}")


def per_channel(values: Any, image: Tensor, *, name: str) -> Tensor:
    """Numbers from 0 on, one, `(B,)` or `(B, C)`, as a tensor `(B or 1, C or 1, 1, 1)`."""
    numbers = torch.as_tensor(values, dtype=image.dtype, device=image.device)
    given = tuple(numbers.shape)
    if numbers.ndim < 2:
        numbers = numbers.reshape(-1, 1)
    if numbers.ndim == 2:
        numbers = numbers.reshape(*numbers.shape, *[1] * (image.ndim - 2))
    allowed = (*image.shape[:2], *[1] * (image.ndim - 2))
    if numbers.ndim != image.ndim or any(n not in (1, m) for n, m in zip(numbers.shape, allowed, strict=True)):
        raise ValueError(f"{name}: the shape {given} does not fit (samples, channels) = {tuple(image.shape[:2])}")
    if not bool((numbers >= 0).all() and numbers.isfinite().all()):
        raise ValueError(f"{name}: must be finite and not negative, given {values}")
    return numbers
