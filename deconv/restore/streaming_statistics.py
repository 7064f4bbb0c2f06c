"""Statistics of an image that is read strip by strip."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from ..imaging.noise import band_rows, noise_in_bands
from ..imaging.srgb import to_linear
from .arguments import as_mask
from .padded_domain import fill
from .statistics import Statistics

__all__ = ["crop_to", "rectangle", "spatial_positions", "streaming_statistics"]

# Values of a strip.
_STRIP = 2**21


def streaming_statistics(
    image: Any, axes: Sequence[int], *, mask: Any = None, sigma: Any = None, linear: bool = False
) -> Statistics:
    """`Statistics.of` the whole image, of which never more than a strip is in memory.

    Parameters
    ----------
    image : array
        Anything with `shape` and NumPy's slicing.
    axes : sequence of int
        Where its height and width are.
    mask : array or "auto", optional
        As for the restoration methods.
    sigma : float or array, optional
        As for the restoration methods.
    linear : bool
        As for the restoration methods.

    Returns
    -------
    Statistics
        Of each channel.
    """
    height, *rest = (image.shape[axis] for axis in axes)
    pixels = height * math.prod(rest)

    def rows(start: int, stop: int) -> Tensor:
        span = [(start, stop), *((0, n) for n in rest)]
        batch, _ = as_image_batch(crop_to(image, axes, span), space=2 if len(axes) == 2 else 3)
        given = mask
        if mask is not None and not isinstance(mask, str):
            given = crop_to(mask, spatial_positions(mask, len(axes)), span)
        pixel_mask = as_mask(given, batch)
        batch = to_linear(batch) if linear else batch
        return batch if pixel_mask is None else fill(batch, pixel_mask)

    step = max(1, _STRIP * height // math.prod(image.shape))
    moments, squares, origin = torch.zeros(()), torch.zeros(()), None
    dtype = torch.float32
    for start in range(0, height, step):
        stop = min(start + step, height)
        strip = rows(start, min(stop + 1, height))  # with the first row of the next one: slopes reach there
        dtype, strip = strip.dtype, strip.double()
        own = strip.narrow(2, 0, stop - start)
        spatial = tuple(range(2, own.ndim))
        origin = own.mean(spatial, keepdim=True) if origin is None else origin
        centred = own - origin
        moments = moments + torch.stack([v.sum(spatial, keepdim=True) for v in (centred, centred.square())])
        for axis, n in zip(spatial, (height, *rest), strict=True):
            if n > 1:
                slopes = (strip if axis == 2 else own).diff(dim=axis).square()
                squares = squares + slopes.sum(spatial, keepdim=True) / (pixels // n * (n - 1))
    offset, square = moments / pixels
    mean, variance = origin + offset, (square - offset.square()).clamp_min(0)
    slopes = (squares + torch.zeros_like(mean)).to(dtype)
    noise = _noise(rows, height, rest) if sigma is None else None
    return Statistics.from_moments(mean.to(dtype), variance.to(dtype), slopes, sigma=sigma, noise=noise)


def _noise(rows: Callable[[int, int], Tensor], height: int, rest: Sequence[int]) -> Tensor:
    """Standard deviation of the noise of every channel, as `Statistics.of` estimates it."""
    if len(rest) > 1:  # slices of a volume, one by one
        variances = [Statistics.noise_of(rows(i, i + 1)).square() for i in range(height)]
        return torch.stack(variances).mean(0).sqrt()
    bands = torch.stack([rows(*span) for span in band_rows(height, rest[0])], 2)
    return noise_in_bands(bands.flatten(0, 1)).reshape(*bands.shape[:2], 1, 1)


def spatial_positions(array: Any, space: int) -> list[int]:
    """Where height and width are among the axes of an array, by the layouts of `deconv.imaging.arrays`."""
    extra = len(array.shape) - space
    if not 0 <= extra <= 2:
        raise ValueError(f"image: expected {space} to {space + 2} axes, given the shape {tuple(array.shape)}")
    channels_last = extra == 1 and not isinstance(array, Tensor)
    return list(range(space)) if channels_last else list(range(extra, extra + space))


def rectangle(axes: Sequence[int], spans: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    """The index of a rectangle: from where to where along each of the axes."""
    index = [slice(None)] * (max(axes) + 1)
    for axis, (start, stop) in zip(axes, spans, strict=True):
        index[axis] = slice(start, stop)
    return tuple(index)


def crop_to(array: Any, axes: Sequence[int], spans: Sequence[tuple[int, int]]) -> Any:
    """A rectangle of an array."""
    return array[rectangle(axes, spans)]
