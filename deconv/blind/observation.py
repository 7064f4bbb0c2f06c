"""What the estimation looks at: one grey plane in units of its own contrast, and how noisy it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.convolution import convolve
from ..imaging.noise import estimate_noise
from ..imaging.psf import gaussian
from .support import odd

__all__ = ["Observation", "window"]

# Below this share of the full scale there is nothing to see.
_FLAT = 1e-4

# Noise is never taken for less than this share of the contrast: no photograph is the exact blur of anything.
_LEAST_NOISE = 0.02

# The spread of the smoothing, in pixels, at noise from this share of the contrast on; below it falls with its root.
_SMOOTHEST, _NOISY = 0.8, 0.04
_LEAST_SPREAD = 0.6

# A piece of so many pixels, or windows, on each side is enough of a large image.
_ENOUGH, _ENOUGH_WINDOWS = 560, 8

# The automatic window, as a share of the image's shorter side.
_SHARE = 0.12
_LEAST_WINDOW, _LARGEST_WINDOW = 15, 51


@dataclass(frozen=True)
class Observation:
    """A grey image `(1, 1, H, W)`, float32, of mean 0 and standard deviation 1; sigma: of its noise; flat: whether it
    is of one colour, and all zero here."""

    image: Tensor
    sigma: float
    flat: bool

    @property
    def smoothing(self) -> Tensor:
        """The psf `(kh, kw)` that images are smoothed by for the estimation of edges, which takes noise for them: of up
        to 0.8 pixels, and of no blur for clean ones."""
        spread = min(_SMOOTHEST, _SMOOTHEST * (self.sigma / _NOISY) ** 0.5)
        return torch.ones(1, 1) if spread < _LEAST_SPREAD else gaussian(spread)

    def smooth(self, image: Tensor) -> Tensor:
        return convolve(image, self.smoothing, boundary="reflect")

    def slope_noise(self) -> float:
        """Standard deviation of the noise in the gradients of the smoothed image."""
        impulse = torch.zeros(1, 1, 9, 9)
        impulse[..., 4, 4] = self.sigma
        return float(self.smooth(impulse).diff(dim=-1).norm())

    def at_scale(self, factor: float) -> float:
        """The noise that is left where the image is made smaller by a factor."""
        return max(factor * self.sigma, _LEAST_NOISE)

    def richest(self, size: tuple[int, int]) -> Observation:
        """The piece of a large image with the most edges, which tells as much about the psf in less time.

        Counted are edges that are still there in a mean over the psf's window: things narrower than the blur overlap
        in it, and mislead (Xu and Jia, "Two-phase kernel estimation for robust motion deblurring", ECCV 2010)."""
        shape = self.image.shape[2:]
        piece = [min(n, max(_ENOUGH, _ENOUGH_WINDOWS * s)) for n, s in zip(shape, size, strict=True)]
        if piece == list(shape):
            return self
        coarse = F.avg_pool2d(
            F.pad(self.image, [n // 2 for n in (size[1], size[1], size[0], size[0])], "reflect"), size, 1
        )
        rows, columns = (coarse.diff(dim=axis)[..., : shape[0] - 1, : shape[1] - 1].abs() for axis in (-2, -1))
        # What is strong in both directions; sums over all pieces by way of cumulative ones.
        total = torch.minimum(*(_sums(each, piece) for each in (rows, columns)))
        best = divmod(int(total.argmax()), total.shape[-1])
        cut = self.image[..., best[0] : best[0] + piece[0], best[1] : best[1] + piece[1]]
        centred = cut - cut.mean()
        contrast = float(centred.square().mean().sqrt())
        return Observation(centred / contrast, max(self.sigma / contrast, _LEAST_NOISE), False)

    def brought_back(self, scene: Tensor, batch: Tensor) -> Tensor:
        """A scene in the unit of the image `(1, C, H, W)` that was given, grey in all its channels."""
        grey = batch.mean(1, keepdim=True)
        return (scene.to(batch) * grey.std(correction=0) + grey.mean()).expand_as(batch)

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
            sigma = estimate_noise(grey)
        # Averaging channels is left out of account: their noise is alike in compressed pictures.
        return cls(centred / contrast, max(float(sigma) / contrast, _LEAST_NOISE), False)


def _sums(values: Tensor, piece: list[int]) -> Tensor:
    """Sums `(rows, columns)` over all windows of the piece's size."""
    total = F.pad(values[0, 0].double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    h, w = (min(p, n) for p, n in zip(piece, values.shape[2:], strict=True))
    return total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]


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
