"""Statistics of an image that is read strip by strip."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..foreign_arrays import as_tensor
from ..imaging.arrays import FULL_SCALE, axis_order
from ..imaging.clipping import white_level
from ..imaging.noise import band_places, noise_in_bands
from ..imaging.srgb import to_linear
from .arguments import Space, as_sigma
from .colours import noise_of_opponents, split
from .filling import fill
from .pixel_mask import read_masked
from .statistics import Limits, Moments, Statistics, power_of_two, sigma_clipped, within

__all__ = ["clipping_level", "crop_to", "read_piece", "rectangle", "spatial_positions", "streaming_statistics"]

# Values of a strip.
_STRIP = 2**21

# Of no more different values, as integers have them, it is counted how many there are of each: then one look at the
# image serves every round of sigma clipping.
_DIFFERENT = 2**17


def streaming_statistics(
    image: Any,
    axes: Sequence[int],
    psf: Any,
    *,
    mask: Any = None,
    white: float | None = None,
    sigma: Any = None,
    linear: bool = False,
    channel_axis: int | None = None,
    colours: bool = False,
) -> Statistics:
    """`Statistics.of` the whole image, of which never more than a strip is in memory.

    Parameters
    ----------
    image : array
        Anything with `shape` and NumPy's slicing.
    axes : sequence of int
        Where its height and width are.
    psf : array or Tensor
        Of some place: what it cannot have blurred is an outlier.
    mask : array or "auto", optional
        As for the restoration methods.
    white : float, optional
        As for the restoration methods.
    sigma : float or array, optional
        As for the restoration methods.
    linear : bool
        As for the restoration methods.
    channel_axis : int, optional
        As for the restoration methods.
    colours : bool
        Measure opponent colours, see `deconv.restore.colours`.

    Returns
    -------
    Statistics
        Of each channel, or opponent colour.
    """
    height, *rest = (image.shape[axis] for axis in axes)

    def seen(start: int, stop: int) -> tuple[Tensor, Tensor | None]:
        span = [(start, stop), *((0, n) for n in rest)]
        batch, _, pixels, _ = read_piece(image, axes, psf, span, mask=mask, white=white, channel_axis=channel_axis)
        batch = to_linear(batch) if linear else batch
        if pixels is not None:
            batch, pixels = fill(batch, pixels), pixels.expand_as(batch)
        if not colours:
            return batch, pixels
        pixels = None if pixels is None else pixels.amin(1, keepdim=True).expand_as(batch)
        return split(batch).reshape(batch.shape), pixels

    def rows(start: int, stop: int) -> Tensor:
        return seen(start, stop)[0]

    step = max(1, _STRIP * height // math.prod(image.shape))
    spans = [(start, min(start + step, height)) for start in range(0, height, step)]
    counted = _counted(rows, spans)
    measure = partial(_moments, rows, spans) if counted is None else partial(_moments_of_counts, *counted)
    every, kept, limits = sigma_clipped(measure)
    slopes = _slopes(rows, spans, height, limits)
    sample = rows(0, 1)
    noise = _noise(seen, height, rest).double() if sigma is None else None
    deviation = None if sigma is None else as_sigma(sigma, sample).double()
    if deviation is not None and colours:
        deviation = noise_of_opponents(deviation).view(-1, 3, 1, 1)
    statistics = Statistics.from_moments(every, kept, slopes, sigma=deviation, noise=noise)
    return statistics.to(sample)


Rows = Callable[[int, int], Tensor]
Seen = Callable[[int, int], tuple[Tensor, Tensor | None]]
Spans = Sequence[tuple[int, int]]


def _counted(rows: Rows, spans: Spans) -> tuple[Tensor, Tensor] | None:
    """The different values of an image, ascending, `(N,)`, and how many each channel has of each, `(B, C, 1, N)`, or of
    a volume `(B, C, 1, 1, N)`; None if there are too many."""
    values = counts = torch.zeros(0, dtype=torch.float64)
    for span in spans:
        strip = rows(*span)
        own, places = torch.unique(strip, return_inverse=True)
        before, values = values, torch.cat([values, own.double()]).unique()
        if len(values) > _DIFFERENT:
            return None
        total = torch.zeros(*strip.shape[:2], *[1] * (strip.ndim - 3), len(values), dtype=torch.float64)
        total[..., torch.searchsorted(values, before)] = counts
        places = torch.searchsorted(values, own.double())[places].reshape(*total.shape[:-1], -1)
        counts = total.scatter_add_(-1, places, torch.ones((), dtype=torch.float64).expand_as(places))
    return values, counts


def _moments_of_counts(values: Tensor, counts: Tensor, limits: Limits | None) -> Moments:
    kept = within(values, limits)
    counted = counts if kept is None else torch.where(kept, counts, 0)
    number = counted.sum(-1, keepdim=True)
    mean = (counted * values).sum(-1, keepdim=True) / number
    offset = values - mean
    variance = (counted * offset.square()).sum(-1, keepdim=True) / number
    return Moments(mean, variance, torch.where(counted > 0, offset.abs(), 0).amax(-1, keepdim=True))


def _moments(rows: Rows, spans: Spans, limits: Limits | None) -> Moments:
    """Strip by strip, in float64."""
    origin = rows(*spans[0]).double()
    spatial = tuple(range(2, origin.ndim))
    origin = origin.mean(spatial, keepdim=True)
    count = total = square = torch.zeros_like(origin)
    least, greatest = torch.full_like(origin, torch.inf), torch.full_like(origin, -torch.inf)
    for span in spans:
        strip = rows(*span).double()
        inside, strip = within(strip, limits), strip - origin
        if inside is None:
            inside = torch.ones_like(strip, dtype=torch.bool)
        values = torch.where(inside, strip, 0)
        count = count + inside.sum(spatial, keepdim=True)
        total = total + values.sum(spatial, keepdim=True)
        square = square + values.square().sum(spatial, keepdim=True)
        least = torch.minimum(least, torch.where(inside, strip, torch.inf).amin(spatial, keepdim=True))
        greatest = torch.maximum(greatest, torch.where(inside, strip, -torch.inf).amax(spatial, keepdim=True))
    offset = total / count
    variance = (square / count - offset.square()).clamp_min(0)
    return Moments(origin + offset, variance, torch.maximum(greatest - offset, offset - least))


def _slopes(rows: Rows, spans: Spans, height: int, limits: Limits | None) -> Tensor:
    """Mean squared difference of neighbours within limits, summed over the axes, in float64."""
    squares: dict[int, Tensor | float] = {}
    pairs: dict[int, Tensor | float] = {}
    for start, stop in spans:
        strip = rows(start, min(stop + 1, height)).double()  # with the next row: slopes reach there
        inside = within(strip, limits)
        for axis in range(2, strip.ndim):
            part = strip if axis == 2 else strip.narrow(2, 0, stop - start)
            steps = part.diff(dim=axis).square()
            spatial = tuple(range(2, strip.ndim))
            if inside is None:
                both = torch.ones_like(steps, dtype=torch.bool)
            else:
                kept = inside.narrow(2, 0, part.shape[2])
                both = kept.narrow(axis, 0, steps.shape[axis]) & kept.narrow(axis, 1, steps.shape[axis])
            squares[axis] = squares.get(axis, 0) + torch.where(both, steps, 0).sum(spatial, keepdim=True)
            pairs[axis] = pairs.get(axis, 0) + both.sum(spatial, keepdim=True)
    return torch.stack([squares[axis] / torch.as_tensor(pairs[axis]).clamp_min(1) for axis in squares]).sum(0)


def _noise(seen: Seen, height: int, rest: Sequence[int]) -> Tensor:
    """Standard deviation of the noise of every channel, as `Statistics.of` estimates it."""
    if len(rest) > 1:  # slices of a volume, one by one
        slices = torch.stack([_unit_free(Statistics.noise_of, *seen(i, i + 1)) for i in range(height)])
        unit = power_of_two(slices.amax(0))
        return (slices / unit).square().mean(0).sqrt() * unit
    read = [(*seen(*span), left, right) for span, (left, right) in band_places(height, rest[0])]
    bands = torch.stack([values[..., left:right] for values, _, left, right in read], 2)
    known = [
        values.new_ones(()).expand_as(values)[..., left:right] if pixels is None else pixels[..., left:right]
        for values, pixels, left, right in read
    ]
    missing = torch.stack(known, 2) == 0
    noise = _unit_free(noise_in_bands, bands.flatten(0, 1), missing.flatten(0, 1))
    return noise.reshape(*bands.shape[:2], 1, 1)


def _unit_free(measure: Callable[[Tensor, Tensor | None], Tensor], image: Tensor, marks: Tensor | None) -> Tensor:
    """A measure in the image's unit, taken where its squares neither overflow nor vanish."""
    unit = power_of_two(image.abs().amax())
    return measure(image / unit, marks) * unit


def clipping_level(image: Any, axes: Sequence[int]) -> float:
    """Where the values of an image that is read strip by strip end, in its unit: infinity where floats do not; see
    `deconv.imaging.clipping`."""
    height, *rest = (image.shape[axis] for axis in axes)
    step = max(1, _STRIP * height // math.prod(image.shape))
    ends, full = [(-math.inf, 0.0)], math.inf
    for start in range(0, height, step):
        strip = crop_to(image, axes, [(start, min(start + step, height)), *((0, n) for n in rest)])
        values, _ = as_tensor(strip, name="image")
        full = FULL_SCALE.get(values.dtype, math.inf)
        if values.element_size() == 1:
            return full
        shares = values / full if math.isfinite(full) else values[values.isfinite()]
        if shares.numel():
            ends.append((float(shares.max()), white_level(shares) or 0.0))
    _, level = max(ends)  # of strips that end at the same value, one that shows a plateau
    return level * (full if math.isfinite(full) else 1.0) if level else full


def read_piece(
    image: Any,
    axes: Sequence[int],
    psf: Any,
    span: Sequence[tuple[int, int]],
    *,
    mask: Any,
    white: float | None,
    channel_axis: int | None = None,
) -> tuple[Tensor, Callable[[Tensor], Any], Tensor | None, Tensor | None]:
    """`read_masked` of a rectangle of an image and of its mask."""
    if mask is not None and not isinstance(mask, str):
        layout = channel_axis if len(mask.shape) > len(axes) else None
        mask = crop_to(mask, spatial_positions(mask, 2 if len(axes) == 2 else 3, layout), span)
    return read_masked(crop_to(image, axes, span), psf, mask=mask, white=white, channel_axis=channel_axis)


def spatial_positions(array: Any, space: Space, channel_axis: int | None = None) -> list[int]:
    """Where height and width are among the axes of an array, by the layouts of `deconv.imaging.arrays`."""
    channels_last = not isinstance(array, Tensor)
    return axis_order(array.shape, space, channels_last=channels_last, channel_axis=channel_axis)[-space:]


def rectangle(axes: Sequence[int], spans: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    """The index of a rectangle: from where to where along each of the axes."""
    index = [slice(None)] * (max(axes) + 1)
    for axis, (start, stop) in zip(axes, spans, strict=True):
        index[axis] = slice(start, stop)
    return tuple(index)


def crop_to(array: Any, axes: Sequence[int], spans: Sequence[tuple[int, int]]) -> Any:
    """A rectangle of an array."""
    return array[rectangle(axes, spans)]
