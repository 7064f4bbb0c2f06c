r"""How noisy an image is, without being told.

White noise is as strong at the highest frequencies as anywhere, and a blurred image has nothing left there. Differences
of n-th order along both axes pass little else: they multiply the spectrum by :math:`(2 \sin(\omega/2))^n` per axis. The
median of their magnitude is robust against the edges that remain (Donoho & Johnstone, 1994, who took the finest wavelet
coefficients; the filters of wavelets are shorter, so more of the image leaks into theirs).

Where photons are counted, a few to a pixel, the noise is stronger where it is bright: its median tells less than its
power, which no edge adds much to.

Pictures that went through JPEG, or were scaled up, have lost the highest frequencies of their noise as well. What is
left of it is seen at a third of them, where there is image too: so only the quietest places are measured.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .arrays import as_image_batch, per_sample

__all__ = ["band_places", "estimate_noise", "noise_in_bands", "noise_unevenness"]

# Mean ratio to the truth on photographs blurred by camera shake, motion, defocus or a Gaussian of 0.7 to 2
# pixels at 0.5 % noise, the worst of them: second differences 1.18, fourth 1.05, sixth 1.02; Haar wavelet
# 1.55.
_ORDER = 6

# The median magnitude of a standard normal variable.
_MEDIAN = 0.6744897501960817

# For noise that is not white: fourth differences of every third pixel, root mean square in blocks of 16 x 16,
# the least tenth of them. In white noise that quantile is 0.8725 times the standard deviation (2^24 samples).
# Ratio to the error that 0.5 to 4 % noise leaves in blurred photographs of JPEG quality 80 to 98: 0.9 to 1.2.
_SPACING, _COARSE_ORDER, _BLOCK, _QUIET, _QUIETEST = 3, 4, 16, 0.1, 0.8725

# The least or greatest value is where the sensor clips if more than this share of the pixels has it. Outliers do not
# count: this share at most, farther away than all others are from each other. Nor do counts, of which there are so few
# different values: if the pixels of that value are not even half of the way from chance to certainty to lie side by
# side. So many pixels tell.
_CLIPPED_SHARE, _OUTLIERS, _COUNTS, _SIDE_BY_SIDE, _SAMPLE = 0.01, 0.0002, 32, 0.5, 2**14

# For counts: second differences, of which more are independent, to the power mean, no farther than so many deviations.
# Ratio to the root of the mean of 0.05 to 8 photons a pixel: 0.98 to 1.01, and 0.82 to 0.95 by the median.
_COUNTS_ORDER, _FARTHEST = 2, 5.0

# Where pixels are missing, so many places tell the median to some per cent; with fewer, what the missing ones were
# filled with counts as well.
_FEWEST = 1000

# A hundred thousand pixels give the median to half a percent; a larger plane is sampled in so many bands of rows, of at
# most so many columns, which are others from band to band.
_ENOUGH = 2**17
_BANDS, _WIDEST_BAND = 16, 1024


def estimate_noise(image: Any, *, white: bool = True, mask: Any = None, channel_axis: int | None = None) -> Any:
    r"""Standard deviation of the noise in an image.

    .. math:: \sigma = \frac{\text{median} |\Delta_x^6 \Delta_y^6 y|}{0.6745 \binom{12}{6}}

    Parameters
    ----------
    image : array or Tensor
        See `deconv.imaging.arrays`. Channels are averaged in variance.
    white : bool
        The noise is white and Gaussian. False for pictures that were compressed by JPEG or scaled up, whose highest
        frequencies tell nothing: then the quietest places are judged at lower ones, and fine texture all over the
        picture counts as noise.
    mask : array or Tensor, optional
        Of the image's shape, 0 where it has no value, or one that was made up: places around such are left out.
    channel_axis : int, optional
        Which axis counts the channels; by default as `deconv.imaging.arrays` lists.

    Returns
    -------
    float or array or Tensor
        The standard deviation, as a fraction of full scale (0.01 is 1 %; for floats, in their own unit). A float for
        one image, `(B,)` for a batch.

    Notes
    -----
    White noise of 0.5 % and more is met within 2 % on blurred photographs. One that is not blurred at all is
    overestimated, as fine texture counts as noise: by two fifths at 1 %, a tenth at 3 %. Where a sensor clips
    there is no noise, so the places around clipped pixels are left out.

    Examples
    --------
    >>> import torch
    >>> noise = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    >>> round(float(estimate_noise(0.5 + 0.02 * noise)), 3)
    0.02
    """
    batch, _ = as_image_batch(image, channel_axis=channel_axis)
    planes, missing = _bands(batch.detach().flatten(0, 1)), None
    if mask is not None:
        known, _ = as_image_batch(mask, channel_axis=channel_axis)
        if known.shape != batch.shape:
            raise ValueError(f"mask: expected the image's shape, {tuple(batch.shape)}, given {tuple(known.shape)}")
        missing = _bands(known.flatten(0, 1)) == 0
    variance = _at_the_highest_frequencies(planes, missing)
    if not white and min(planes.shape[2:]) >= _COARSE_ORDER * _SPACING + _BLOCK:
        variance = torch.maximum(variance, _in_quiet_places(planes, missing))
    return per_sample(variance.view(batch.shape[:2]).mean(1).sqrt(), image)


def _bands(planes: Tensor) -> Tensor:
    """`(N, H, W)` as `(N, bands, rows, columns)`: all of it, or evenly spaced bands where there is plenty."""
    places = band_places(*planes.shape[1:])
    return torch.stack([planes[:, top:bottom, left:right] for (top, bottom), (left, right) in places], dim=1)


def band_places(height: int, width: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The rows and columns of a plane that its noise is estimated from: all of them, or bands of one size."""
    rows = max(_ENOUGH // (_BANDS * width), 2 * (_COARSE_ORDER * _SPACING + _BLOCK))
    if _BANDS * rows >= height:
        return [((0, height), (0, width))]
    columns = min(width, _WIDEST_BAND)
    tops = [(height - rows) * i // (_BANDS - 1) for i in range(_BANDS)]
    lefts = [(width - columns) * (i % 4) // 3 for i in range(_BANDS)]
    return [((top, top + rows), (left, left + columns)) for top, left in zip(tops, lefts, strict=True)]


def noise_in_bands(bands: Tensor, missing: Tensor | None = None) -> Tensor:
    """`estimate_noise` of planes of which only the bands are at hand: `(N, bands, rows, W)` -> `(N,)`.

    Places where `missing`, of the same shape, is true have no value.
    """
    return _at_the_highest_frequencies(bands, missing).sqrt()


def noise_unevenness(image: Tensor) -> float:
    """How much more the power of the highest frequencies tells of noise than their median, for all of `(B, C, H, W)`:
    1 where the noise is equally strong everywhere, more where it was taken away in places."""
    planes = image.detach().flatten(0, 1)[:, None]
    details = [
        _details(plane, skip, _ORDER) for plane, skip in zip(planes, _clipped(planes, _ordered(planes)), strict=True)
    ]
    ratios = [_power(detail) / _variance(detail).clamp_min(1e-30) for detail in details if detail.numel()]
    return float(torch.stack(ratios).mean().sqrt()) if ratios else 1.0


def _at_the_highest_frequencies(planes: Tensor, missing: Tensor | None = None) -> Tensor:
    ordered = _ordered(planes)
    clipped, counts = _clipped(planes, ordered), _are_counts(planes, ordered)
    variances = []
    for number, (plane, skip, counted) in enumerate(zip(planes, clipped, counts.tolist(), strict=True)):
        highest = _COUNTS_ORDER if counted else _ORDER
        if missing is None or not missing[number].any():
            details = _details(plane, skip, highest)
        else:  # the shortest differences have the most places between scattered pixels that are missing
            tried = (_details(plane, skip | missing[number], order) for order in range(highest, 0, -1))
            several = (details for details in tried if details.numel() >= _FEWEST)
            details = next(several, _details(plane, skip, highest))
        variances.append(_power(details) if counted else _variance(details))
    return torch.stack(variances)


def _details(plane: Tensor, skip: Tensor, order: int) -> Tensor:
    """Differences of an order along both axes, of unit gain for white noise, but for those that touch marked pixels."""
    orders = [min(order, n - 1) for n in plane.shape[1:]]
    details = plane
    for axis, n in enumerate(orders, start=1):
        details = torch.diff(details, n=n, dim=axis) / math.sqrt(math.comb(2 * n, n))
    return details[~_touched(skip, [n + 1 for n in orders])] if skip.any() else details


def _variance(details: Tensor) -> Tensor:
    if details.numel() == 0:
        return details.new_zeros(())
    return (details.abs().median() / _MEDIAN) ** 2


def _power(details: Tensor) -> Tensor:
    squares = details.square()
    limit = _FARTHEST**2 * _variance(details)
    # Where most pixels count nothing, the median is zero, and tells nothing of the others.
    return (torch.minimum(squares, limit) if limit > 0 else squares).mean()


def _in_quiet_places(planes: Tensor, missing: Tensor | None) -> Tensor:
    details = planes
    for axis in (2, 3):
        for _ in range(_COARSE_ORDER):
            n = details.shape[axis] - _SPACING
            details = details.narrow(axis, _SPACING, n) - details.narrow(axis, 0, n)
    power = F.avg_pool2d(details.square(), _BLOCK) / math.comb(2 * _COARSE_ORDER, _COARSE_ORDER) ** 2
    reach = _COARSE_ORDER * _SPACING
    skipped = _clipped(planes, _ordered(planes))
    skipped = skipped if missing is None else skipped | missing
    touched = F.max_pool2d(skipped.to(planes.dtype), reach + 1, stride=1)
    touched = F.max_pool2d(touched, _BLOCK).bool()
    quiet = [
        plane[~skip].quantile(_QUIET) if not skip.all() else plane.new_zeros(())
        for plane, skip in zip(power, touched, strict=True)
    ]
    return torch.stack(quiet) / _QUIETEST**2


def _touched(skip: Tensor, size: list[int]) -> Tensor:
    """Whether any pixel of each window of a size is marked: of bytes, where twice the size takes one pass more."""
    touched = skip.to(torch.uint8)
    for axis, n in enumerate(size, start=1):
        width = 1
        while width < n:
            step = min(width, n - width)
            rest = touched.shape[axis] - step
            touched = touched.narrow(axis, 0, rest) | touched.narrow(axis, step, rest)
            width += step
    return touched.bool()


def _clipped(planes: Tensor, ordered: Tensor) -> Tensor:
    """The pixels of a plateau at either end of the values of their plane.

    Many pixels of one value are no plateau by themselves: where photons are counted, zeros are common. But then there
    are few different values, and the zeros are scattered; those of a plateau lie side by side.
    """
    few = _few_values(ordered)
    values = planes.flatten(1)
    beyond = int(_OUTLIERS * ordered.shape[1])
    low, high = ordered[:, beyond], ordered[:, -1 - beyond]
    least, greatest = values.amin(1), values.amax(1)
    mask = torch.zeros_like(planes, dtype=torch.bool)
    for end, reach in (
        (torch.where(low - least > high - low, low, least), torch.le),
        (torch.where(greatest - high > high - low, high, greatest), torch.ge),
    ):
        end = end.view(-1, 1, 1, 1)
        plateau = reach(planes, end)
        clips = (planes == end).float().mean((1, 2, 3), keepdim=True) > _CLIPPED_SHARE
        if few.any():
            clips &= ~(few & _is_scattered(plateau))
        mask |= plateau & clips
    return mask


def _are_counts(planes: Tensor, ordered: Tensor) -> Tensor:
    """Whether each plane has few different values, the commonest of them scattered as noise is, `(N,)`."""
    few = _few_values(ordered)
    if few.any():
        few = few & _is_scattered(planes == ordered.mode(1).values.view(-1, 1, 1, 1))
    return few.flatten()


def _ordered(planes: Tensor) -> Tensor:
    """The values of each plane in order; of a large one, a sample."""
    values = planes.flatten(1)
    values = values[:, :: max(1, values.shape[1] // _SAMPLE)]
    if values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.sort(values.numpy(), axis=1))  # some ten times quicker: torch orders indices, too
    return values.sort(1).values


def _few_values(ordered: Tensor) -> Tensor:
    return ((ordered.diff(dim=1) > 0).sum(1) < _COUNTS).view(-1, 1, 1, 1)


def _is_scattered(plateau: Tensor) -> Tensor:
    """Whether being in the plateau tells little of the next pixel along either axis, for each plane."""
    share = plateau.float().mean((1, 2, 3), keepdim=True)
    scattered = share < 1
    for axis in (2, 3):
        n = plateau.shape[axis] - 1
        if n:
            pairs = plateau.narrow(axis, 0, n) & plateau.narrow(axis, 1, n)
            beside = pairs.float().mean((1, 2, 3), keepdim=True) / share
            scattered &= beside < share + _SIDE_BY_SIDE * (1 - share)
    return scattered
