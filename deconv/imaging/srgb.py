"""From the numbers in an sRGB picture to light, which is what a lens blurs, and back."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["to_linear", "to_srgb"]


def to_linear(image: Tensor) -> Tensor:
    """Linear light of sRGB values (IEC 61966-2-1). Odd about zero, so that values outside [0, 1] survive."""
    size = image.abs()
    power = ((size.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(size <= 0.04045, image / 12.92, power * image.sign())


def to_srgb(light: Tensor) -> Tensor:
    """Inverse of `to_linear`."""
    size = light.abs()
    root = 1.055 * size.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(size <= 0.0031308, light * 12.92, root * light.sign())
