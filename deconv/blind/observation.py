"""What the estimation looks at: one grey plane in units of its own contrast, and how noisy it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..imaging.noise import estimate_noise
from .support import odd

__all__ = ["Observation", "window"]

# Below this share of the full scale there is nothing to see.
_FLAT = 1e-4

# Noise is never taken for less than this share of the contrast: no photograph is the exact blur of anything.
_LEAST_NOISE = 0.005

# The automatic window, as a share of the image's shorter side.
_SHARE = 0.12
_LEAST_WINDOW, _LARGEST_WINDOW = 15, 101


@dataclass(frozen=True)
class Observation:
    """A grey image `(1, 1, H, W)`, float32, of mean 0 and standard deviation 1; sigma: of its noise; flat: whether it
    is of one colour, and all zero here."""

    image: Tensor
    sigma: float
    flat: bool

    @classmethod
    def of(cls, image: Tensor, sigma: float | None) -> Observation:
        """image: `(1, C, H, W)`. sigma: in its unit; None: measured."""
        if sigma is not None and not 0 <= sigma < float("inf"):
            raise ValueError(f"sigma: expected a number of at least 0, given {sigma}")
        grey = image.detach().float().cpu().mean(1, keepdim=True)
        centred = grey - grey.mean()
        contrast = float(centred.square().mean().sqrt())
        if contrast <= _FLAT * max(1.0, float(grey.abs().max())):
            return cls(torch.zeros_like(grey), _LEAST_NOISE, True)
        if sigma is None:
            sigma = estimate_noise(grey, white=False)
        # Averaging channels is left out of account: their noise is alike in compressed pictures.
        return cls(centred / contrast, max(float(sigma) / contrast, _LEAST_NOISE), False)


def window(kernel_size: int | tuple[int, int] | None, shape: tuple[int, int]) -> tuple[int, int]:
    """The psf's window for an image of this shape: odd numbers, checked."""
    if kernel_size is None:
        side = odd(min(max(_SHARE * min(shape), _LEAST_WINDOW), _LARGEST_WINDOW, min(shape) / 3))
        return (side, side)
    size = tuple(kernel_size) if isinstance(kernel_size, tuple | list) else (kernel_size, kernel_size)
    if len(size) != 2 or any(not isinstance(n, int) or isinstance(n, bool) or n < 3 for n in size):
        raise ValueError(f"kernel_size: expected a whole number of at least 3, or two, given {kernel_size!r}")
    size = tuple(odd(n) for n in size)
    if any(2 * s > n for s, n in zip(size, shape, strict=True)):
        given, there = (" x ".join(map(str, each)) for each in (size, shape))
        raise ValueError(f"kernel_size: {given} is more than half the image, {there}; give a smaller one")
    return size
