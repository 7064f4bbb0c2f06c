"""What the estimation looks at: one grey plane in units of its own contrast, and how noisy it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..choices import pair_of_sizes
from ..imaging.convolution import convolve
from ..imaging.noise import estimate_noise
from ..imaging.psf import gaussian
from .support import odd

__all__ = ["Observation", "channel_noise", "effective_noise", "unit_of", "widest_window", "window_size"]

# Noise is never taken for less than this share of the contrast: no photograph is the exact blur of anything.
_LEAST_NOISE = 0.02

# Nor, for the restoration, than this share of it: what an estimated psf leaves unexplained. With true psfs of camera
# shake, this is 0.1 to 1.2 dB better than the noise of the sensor alone.
_INEXACT = 0.02

# A pixel that differs from the median around it by more than so many times the range from the first percentile to the
# last but one was hit by something, or is broken: no blurred image changes so much from one pixel to the next.
_SPIKE = 3.0
_ENOUGH_FOR_PERCENTILES = 2**20

# Noise is not white if it is so many times stronger at a third of the frequencies than at the highest: up to 2 times in
# most blurred photographs with white noise, 3.4 to 5 after JPEG of quality 90 at 0.5 and 1 %.
_COLOURED = 2.5
# Between these shares of full scale, at the highest frequencies, fewer: of noise of 2 % JPEG of quality 90 leaves half
# there, and 1.9 to 2.5 times as much at a third; white noise of so much drowns the texture of blurred photographs, up
# to 1.5 times in 72 of them.
_HALVED, _COLOURED_HALVED = (0.008, 0.013), 1.6

# The spread of the smoothing, in pixels, at noise from this share of the contrast on; below it falls with its root.
_SMOOTHEST, _NOISY = 0.8, 0.04
_LEAST_SPREAD = 0.6

# A piece of so many pixels, or windows, on each side is enough of a large image.
_ENOUGH, _ENOUGH_WINDOWS = 560, 5

# A piece of a larger image is chosen on one of about so many pixels, in which a window still has so many on each side.
_ENOUGH_TO_CHOOSE, _LEAST_WINDOW_PIXELS = 2**20, 5

# The automatic window, as a share of the image's shorter side; and that of a search, which makes it smaller.
_SHARE, _WIDEST_SHARE = 0.12, 0.2
_LEAST_WINDOW, _LARGEST_WINDOW, _WIDEST_WINDOW = 15, 51, 151


@dataclass(frozen=True)
class Observation:
    """The blurred photograph, grey and normalised, float32.

    Attributes
    ----------
    image : Tensor
        `(1, 1, H, W)`, mean 0, standard deviation 1; all zero where the photograph is of one colour.
    sigma : float
        Standard deviation of its noise.
    contrast : float
        Standard deviation of the photograph before that, over its greatest magnitude.
    """

    image: Tensor
    sigma: float
    contrast: float

    @classmethod
    def of(cls, image: Tensor, sigma: Any = None) -> Observation:
        """Normalise `(1, C, H, W)`; `sigma` as for `channel_noise`, estimated by default."""
        unit = unit_of(image)
        if sigma is not None:
            sigma = float(channel_noise(sigma, image).square().mean().sqrt()) / unit
        grey = _without_spikes((image.detach() / unit).float().mean(1, keepdim=True))
        centred = grey - grey.mean()
        contrast = float(centred.square().mean().sqrt())
        if not contrast > 0:
            return cls(torch.zeros_like(grey), _LEAST_NOISE, contrast)
        if sigma is None:
            sigma = float(_noise(grey))
        # Averaging channels is left out of account: their noise is alike in compressed pictures.
        return cls(centred / contrast, max(sigma / contrast, _LEAST_NOISE), contrast / float(grey.abs().max()))

    @property
    def smoothing(self) -> Tensor:
        """The psf `(kh, kw)` that images are smoothed by before edges are taken from them, lest noise be taken for
        edges: of up to 0.8 pixels, and of no blur for clean images."""
        spread = min(_SMOOTHEST, _SMOOTHEST * (self.sigma / _NOISY) ** 0.5)
        return (torch.ones(1, 1) if spread < _LEAST_SPREAD else gaussian(spread)).to(self.image)

    def smooth(self, image: Tensor) -> Tensor:
        """Blur by `smoothing`."""
        return convolve(image, self.smoothing, boundary="reflect")

    def noise_at(self, factor: float) -> float:
        """Standard deviation of the noise that is left where the image is scaled by a factor below one."""
        return max(factor * self.sigma, _LEAST_NOISE)

    def most_informative(self, size: tuple[int, int]) -> Observation:
        """The piece of a large image with the most edges, which tells as much about the psf in less time.

        Counted are edges that are still there in a mean over the psf's window: things narrower than the blur overlap
        in it, and mislead (Xu and Jia, "Two-phase kernel estimation for robust motion deblurring", ECCV 2010).
        """
        shape = self.image.shape[2:]
        piece = [min(n, max(_ENOUGH, _ENOUGH_WINDOWS * s)) for n, s in zip(shape, size, strict=True)]
        if piece == list(shape):
            return self
        step = max(1, min(math.isqrt(math.prod(shape) // _ENOUGH_TO_CHOOSE), min(size) // _LEAST_WINDOW_PIXELS))
        small = F.avg_pool2d(self.image, step)
        window = [odd(s / step) for s in size]
        part = [min(-(-n // step), m) for n, m in zip(piece, small.shape[2:], strict=True)]
        margins = [n // 2 for n in (window[1], window[1], window[0], window[0])]
        coarse = _sums(F.pad(small, margins, "reflect")[0, 0], window)
        rows, columns = (coarse.diff(dim=axis)[: small.shape[2] - 1, : small.shape[3] - 1].abs() for axis in (-2, -1))
        # What is strong in both directions.
        total = torch.minimum(_sums(rows, part), _sums(columns, part))
        top, left = divmod(int(total.argmax()), total.shape[-1])
        top, left = (min(step * start, n - m) for start, n, m in zip((top, left), shape, piece, strict=True))
        cut = self.image[..., top : top + piece[0], left : left + piece[1]]
        centred = cut - cut.mean()
        contrast = float(centred.square().mean().sqrt())
        return Observation(centred / contrast, max(self.sigma / contrast, _LEAST_NOISE), self.contrast)


def _sums(values: Tensor, size: Sequence[int]) -> Tensor:
    """Sums of values `(H, W)` over all windows of a size, by way of cumulative ones: any size takes the same time."""
    total = F.pad(values.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    h, w = (min(s, n) for s, n in zip(size, values.shape, strict=True))
    return total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]


def _without_spikes(grey: Tensor) -> Tensor:
    """The image `(1, 1, H, W)` with the median of 3 x 3 pixels in place of those that differ wildly from it."""
    values = grey.flatten()
    sample = values[:: max(1, len(values) // _ENOUGH_FOR_PERCENTILES)]
    low, high = (float(sample.quantile(share)) for share in (0.01, 0.99))
    reach = _SPIKE * (high - low)
    rows, columns = ((grey > high + reach) | (grey < low - reach))[0, 0].nonzero(as_tuple=True)
    if len(rows) == 0:
        return grey
    padded = F.pad(grey, [1] * 4, "reflect")[0, 0]
    around = torch.stack([padded[rows + i, columns + j] for i in range(3) for j in range(3)]).median(0).values
    cleaned = grey.clone()
    here = cleaned[0, 0, rows, columns]
    cleaned[0, 0, rows, columns] = torch.where((here - around).abs() > reach, around, here)
    return cleaned


def unit_of(image: Tensor) -> float:
    """The power of two above the greatest magnitude, 1 for zeros: division by it keeps squares from overflowing or
    vanishing, and changes no digit."""
    _, exponent = math.frexp(float(image.detach().abs().max()))
    return math.ldexp(1.0, exponent)


def channel_noise(sigma: Any, image: Tensor) -> Tensor:
    """A noise level that was given as one number, `(C,)` or `(B, C)`, checked, as `(B, C)` for an image `(B, C, H, W)`;
    in float64."""
    level = torch.as_tensor(sigma, dtype=torch.float64, device=image.device).detach()
    lead = tuple(image.shape[:2])
    if level.ndim > 2 or any(n not in (1, m) for n, m in zip(reversed(level.shape), reversed(lead), strict=False)):
        raise ValueError(
            f"sigma: expected one number, or one for each of {lead[1]} channels, given the shape {tuple(level.shape)}"
        )
    if not bool((level >= 0).all() and level.isfinite().all()):
        raise ValueError(f"sigma: expected finite numbers of at least 0, given {sigma}")
    return level.expand(lead)


def effective_noise(image: Tensor) -> Tensor:
    """The noise to restore with where the psf is an estimated one, for each channel, `(B, C)`: that of the sensor, and
    never less than a fiftieth of the contrast, for what the psf leaves unexplained."""
    unit = unit_of(image)
    image = image / unit
    noise = _noise(image.flatten(0, 1)[:, None]).view(image.shape[:2])
    return unit * torch.maximum(noise, _INEXACT * image.std((2, 3), correction=0))


def _noise(planes: Tensor) -> Tensor:
    """Standard deviation of the noise of planes `(N, 1, H, W)`, `(N,)`, white or not.

    What a coder has taken from the highest frequencies says nothing of what it has left and added at lower ones; psfs
    are then asked to explain its errors, and the right one is refused."""
    highest, lower = (estimate_noise(planes, white=white) for white in (True, False))
    coloured = torch.where((highest > _HALVED[0]) & (highest < _HALVED[1]), _COLOURED_HALVED, _COLOURED)
    return torch.where(lower > coloured * highest, lower, highest)


def window_size(kernel_size: int | tuple[int, int] | None, shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the psf's window for an image of this shape: odd, checked."""
    if kernel_size is None:
        return _square(_SHARE, _LARGEST_WINDOW, shape)
    height, width = pair_of_sizes(kernel_size, least=3)
    size = odd(height), odd(width)
    if any(2 * s > n for s, n in zip(size, shape, strict=True)):
        given, there = (" x ".join(map(str, each)) for each in (size, shape))
        raise ValueError(f"kernel_size: {given} is more than half the image, {there}; give a smaller one")
    return size


def widest_window(shape: tuple[int, int]) -> tuple[int, int]:
    """The window in which the search for a psf begins, where none is told."""
    return _square(_WIDEST_SHARE, _WIDEST_WINDOW, shape)


def _square(share: float, largest: int, shape: tuple[int, int]) -> tuple[int, int]:
    side = odd(min(max(share * min(shape), _LEAST_WINDOW), largest, min(shape) / 3))
    return side, side
