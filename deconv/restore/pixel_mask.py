r"""Which pixels of an image count, and how: those that a mask leaves, or all but outliers; clipped ones as bounds.

What a psf h has blurred has no peak narrower than h itself. Among the neighbours of a pixel, let :math:`y_r` be the
r-th greatest and :math:`y_8` the least. For a point that is blurred, :math:`y - y_r \le \rho_r (y - y_8)`, with
:math:`\rho_r` read off the psf in the same way. A pixel that exceeds this bound by more than the noise for some r up to
4 is an outlier: a cosmic ray or a hot pixel, alone or with up to three beside it. Dark ones are found in the negative.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..foreign_arrays import as_tensor, without_labels, without_mask
from ..imaging.arrays import FULL_SCALE, as_image_batch
from ..imaging.boundary import extend
from ..imaging.clipping import clipped_ends, white_seen
from .arguments import as_psfs, space_of, spatial_axes
from .filling import fill
from .statistics import Statistics

__all__ = ["as_mask", "outliers", "read_masked", "white_of"]

# Neighbours to compare with; what counts as noise, in its deviations and in parts of the contrast; what is allowed
# beyond a single point of light, and at least, as two may add up; taps to look at, relative to the greatest.
_RANKS = 4
_DEVIATIONS, _FAINT = 8.0, 0.02
_MARGIN, _LEAST_SHARE = 1.25, 0.6
_SMALL_TAP = 0.01

# Where not even this part of the pixels may be outliers at all, these alone are looked at closely.
_FEW = 0.1


def read_masked(
    image: Any, psf: Any, *, mask: Any = None, white: float | None = None, channel_axis: int | None = None
) -> tuple[Tensor, Callable[[Tensor], Any], Tensor | None, Tensor | None]:
    """The image as a tensor, the way back to what was given, the weights of its pixels, and which are clipped.

    Parameters
    ----------
    image, psf, mask, white, channel_axis : Any
        As the restoration methods are given them. Values that the mask leaves out need not be finite; the mask of a
        masked array, of `NDData` or `CCDData` counts, too.

    Returns
    -------
    image : Tensor
        `(B, C, H, W)` or `(B, C, D, H, W)`; 0 where the mask is.
    back : callable
        See `deconv.imaging.arrays.as_image_batch`.
    pixels : Tensor or None
        See `as_mask`.
    clipped : Tensor or None
        See `deconv.imaging.clipping.clipped_ends`; None where white is neither told nor looked for.
    """
    space = spatial_axes(psf)
    if isinstance(mask, str) and mask != "auto":
        raise ValueError(f'mask: expected an array or "auto", given {mask!r}')
    image, channel_axis, relabel = without_labels(image, space=space, channel_axis=channel_axis, name="image")
    image, missing, rewrap = without_mask(image)
    layout: dict[str, Any] = {"space": space, "channel_axis": channel_axis}
    if missing is not None and mask is None:
        mask = np.ones(tuple(image.shape), bool)
    values, wrap = as_tensor(image, name="image")
    white = white_of(values.dtype, white)

    def back(result: Tensor) -> Any:
        return relabel(rewrap(unpack(result)))

    if mask is None:
        _check_finite(values)
        batch, unpack = as_image_batch(image, **layout)
        return batch, back, None, None if white is None else clipped_ends(batch, white=white)
    known = None if missing is None else torch.from_numpy(~missing)
    if values.is_floating_point() and not bool(values.isfinite().all()):
        known = values.isfinite() if known is None else values.isfinite() & known
        image = wrap(values.masked_fill(~known, 0))
    batch, unpack = as_image_batch(image, **layout)
    finite = None if known is None else as_image_batch(wrap(known), **layout)[0]
    seen = batch if finite is None else fill(batch, finite.to(batch))
    if isinstance(mask, str) and white is None and values.dtype in FULL_SCALE:
        white = white_seen(seen, FULL_SCALE[values.dtype])
    clipped = None if white is None and not isinstance(mask, str) else clipped_ends(seen, white=white)
    if isinstance(mask, str):
        counts = ~outliers(seen, as_psfs(psf, batch), Statistics.of(seen, mask=finite))
        pixels = counts.to(batch) if finite is None else counts * finite.to(batch)
    else:
        pixels = as_mask(mask, batch, channel_axis=channel_axis)
        if missing is not None:
            pixels = pixels * as_image_batch(~missing, **layout)[0].to(pixels)
        bad = 0 if finite is None else int(((finite == 0) & (pixels > 0)).sum())
        if bad:
            raise ValueError(f"image: {bad} of its values are NaN or infinite where the mask is not 0")
    return torch.where(pixels > 0, batch, 0), back, pixels, clipped


def _check_finite(values: Tensor) -> None:
    bad = values.numel() - int(values.isfinite().sum()) if values.is_floating_point() else 0
    if bad:
        where = f"image: {bad} of its {values.numel()} values are NaN or infinite"
        raise ValueError(f"{where}; all must be finite, or left out by mask=, which is 0 where a pixel does not count")


def white_of(dtype: torch.dtype, white: float | None) -> float | None:
    """The white of an image of this dtype as a tensor of `deconv.imaging.arrays`, from one in the image's unit."""
    return None if white is None else white / FULL_SCALE.get(dtype, 1)


def as_mask(mask: Any, image: Tensor, *, channel_axis: int | None = None) -> Tensor:
    """The weight of each pixel as a tensor that broadcasts against `image`; integers of 0 and 1 count as bool."""
    values, wrap = as_tensor(mask, name="mask")
    if not values.is_floating_point() and not values.is_complex():
        least, greatest = values.to(torch.int64).aminmax()
        if least >= 0 and greatest <= 1:
            mask = wrap(values.bool())
    space = space_of(image)
    layout = channel_axis if values.ndim > space else None  # one for all channels has none
    pixels, _ = as_image_batch(mask, space=space, name="mask", channel_axis=layout)
    pixels = pixels.to(image)
    fits = all(n in (1, m) for n, m in zip(pixels.shape[:2], image.shape[:2], strict=True))
    if not fits or pixels.shape[2:] != image.shape[2:]:
        raise ValueError(f"mask: the shape {tuple(mask.shape)} does not fit an image {tuple(image.shape)}")
    if float(pixels.min()) < 0 or float(pixels.max()) > 1:
        raise ValueError("mask: its weights must be in [0, 1]")
    return pixels


def outliers(image: Tensor, psf: Tensor, statistics: Statistics, among: Tensor | None = None) -> Tensor:
    """Pixels that stand out from their neighbours as nothing that a psf has blurred can.

    Parameters
    ----------
    image : Tensor
        `(B, C, H, W)` or `(B, C, D, H, W)`.
    psf : Tensor
        As for `PaddedDomain`.
    statistics : Statistics
        Of the image.
    among : Tensor, optional
        bool, of the shape of `image`: which pixels to judge, quickly where they are few; by default all.

    Returns
    -------
    Tensor
        bool, of the shape of `image`.
    """
    space = space_of(image)
    shares = _allowed_shares(psf.detach(), space)
    noise = torch.maximum(_DEVIATIONS * statistics.sigma, _FAINT * statistics.contrast)
    padded = extend(image.detach(), [(1, 1)] * space, method="reflect")
    if among is None:
        likely = _stand_out(image.detach(), padded, noise, space)
        among = likely if int(likely.sum()) < _FEW * likely.numel() else None
    if among is not None:
        places = among.nonzero().unbind(1)
        noise, *shares = (values.expand_as(image)[places] for values in (noise, *shares))
        pixels, neighbours = image.detach()[places], [padded[index] for index in _beside(places, space)]
    else:
        pixels, neighbours = image.detach(), [padded[index] for index in _windows(padded, space)]
    found = torch.zeros_like(pixels, dtype=torch.bool)
    for sign in (1, -1):
        excesses, height = _peaks(sign * pixels, (sign * neighbour for neighbour in neighbours))
        for excess, share in zip(excesses, shares, strict=True):
            found |= excess > noise + share * height
    if among is None:
        return found
    return torch.zeros_like(image, dtype=torch.bool).index_put_(places, found)


def _stand_out(image: Tensor, padded: Tensor, noise: Tensor, space: int) -> Tensor:
    """Which pixels are above all but three of their neighbours by more than noise, or below: as far as those along the
    axes tell. No other is an outlier."""
    sizes = padded.shape[-space:]
    middle = [slice(1, n - 1) for n in sizes]
    above, below = (torch.zeros_like(image, dtype=torch.uint8) for _ in range(2))
    for axis, n in enumerate(sizes):
        for step in (0, 2):
            index = [*middle[:axis], slice(step, n - 2 + step), *middle[axis + 1 :]]
            excess = image - padded[(..., *index)]
            above += excess > noise
            below += excess < -noise
    least = 2 * space - (_RANKS - 1)
    return (above >= least) | (below >= least)


def _allowed_shares(psf: Tensor, space: int) -> list[Tensor]:
    """For each rank, which part of its height a pixel may be above its neighbour of that rank."""
    axes = tuple(range(-space, 0))
    padded = F.pad(psf, (1, 1) * space)
    excesses, height = _peaks(psf, (padded[index] for index in _windows(padded, space)))
    small = psf < _SMALL_TAP * psf.amax(axes, keepdim=True)
    shares = [torch.where(small, 0, excess / height.clamp_min(1e-30)).amax(axes, keepdim=True) for excess in excesses]
    return [(_MARGIN * share).clamp_min(_LEAST_SHARE) for share in shares]


def _steps(space: int) -> Iterator[tuple[int, ...]]:
    """To each neighbour."""
    return (step for step in itertools.product((-1, 0, 1), repeat=space) if any(step))


def _windows(padded: Tensor, space: int) -> Iterator[tuple[Any, ...]]:
    """The index of the neighbours of all pixels that one more pixel on each side was added to."""
    sizes = padded.shape[-space:]
    return ((..., *[slice(1 + s, n - 1 + s) for s, n in zip(step, sizes, strict=True)]) for step in _steps(space))


def _beside(places: Sequence[Tensor], space: int) -> Iterator[tuple[Any, ...]]:
    """The index of the neighbours of a few pixels in the same."""
    for step in _steps(space):
        yield (*places[:-space], *[place + 1 + s for s, place in zip(step, places[-space:], strict=True)])


def _peaks(pixels: Tensor, neighbours: Iterable[Tensor]) -> tuple[list[Tensor], Tensor]:
    """How far each pixel is above its greatest neighbour, its second greatest, ..., and how far, if at all, above its
    least one."""
    greatest = [torch.full_like(pixels, -torch.inf)] * _RANKS
    least = torch.full_like(pixels, torch.inf)
    for neighbour in neighbours:
        least = torch.minimum(least, neighbour)
        for rank, value in enumerate(greatest):
            greatest[rank], neighbour = torch.maximum(value, neighbour), torch.minimum(value, neighbour)
    return [pixels - value for value in greatest], (pixels - least).clamp_min(0)
