"""From the numbers in an sRGB picture to light, which is what a lens blurs, and back."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["to_linear", "to_srgb"]


def to_linear(image: Tensor) -> Tensor:
    """Linear light of sRGB values (IEC 61966-2-1); odd about zero, so that values outside [0, 1] survive.

    Parameters
    ----------
    image : Tensor
        Of any shape, white is 1.

    Returns
    -------
    Tensor
        Of the same shape, white is 1.
    """
    size = image.abs()
    power = ((size.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(size <= 0.04045, image / 12.92, power * image.sign())


def to_srgb(light: Tensor) -> Tensor:
    """The sRGB values of linear light: inverse of `to_linear`.

    Parameters
    ----------
    light : Tensor
        Of any shape, white is 1.

    Returns
    -------
    Tensor
        Of the same shape, white is 1.
    """
    size = light.abs()
    root = 1.055 * size.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(size <= 0.0031308, light * 12.92, root * light.sign())
