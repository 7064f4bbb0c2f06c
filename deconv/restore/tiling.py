"""Images larger than the memory, restored tile by tile."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..devices import usable_device
from ..foreign_arrays import as_tensor, is_dask, without_labels, without_mask
from ..free_memory import give_back_freed_memory
from ..progress import ProgressBar
from .dask_tiles import restore_chunks
from .frames import frames_of, one_for_each
from .memory import as_bytes, free_bytes, tile_within
from .methods import as_method
from .pixel_mask import white_of
from .psf_field import PsfField
from .run import Image, RestorationWarning
from .statistics import Statistics
from .streaming_statistics import (
    clipping_level,
    crop_to,
    read_piece,
    spatial_positions,
    streaming_statistics,
)
from .tile_blending import blend, equal_pieces
from .tile_overlap import tile_overlap
from .tile_statistics import of_all_tiles

__all__ = ["tiled"]

_TILE = 1024

# As often as this each pixel may be restored without a word: by images whose tiles are half as large as what is
# restored beyond them.
_REPEATED = 25.0


def tiled(
    method: str | Callable[..., Any],
    /,
    image: Image,
    psf: Any,
    *,
    out: Any = None,
    tile: int | Sequence[int] | None = None,
    overlap: int | Sequence[int] | None = None,
    memory: int | str | None = None,
    device: str | torch.device | None = None,
    mask: Any = None,
    white: float | None = None,
    channel_axis: int | None = None,
    colours: bool | None = None,
    sigma: Any = None,
    statistics: Statistics | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Image:
    r"""Restore an image tile by tile: the memory does not grow with it, and its blur may differ from place to place.

    Each tile is restored with the pixels around it, of which those nearest to its border are blended with its
    neighbours,

    .. math:: x \leftarrow (1 - w)\, x + w\, x_t, \qquad w = \tfrac12 - \tfrac12 \cos(\pi u)

    with u from 0 to 1 across the border, and the rest is dropped. Noise, contrast and brightness are measured once, in
    the whole image, so that all tiles agree on the automatic parameters. For methods that look at a neighbourhood
    only, the result is the untiled one but for the influence of what is farther away than the overlap.

    A dask array gives a lazy dask array: its chunks are the tiles, overlapping as above and joined without blending.
    Nothing is read before it is computed; one task then reads the whole once for the statistics, strip by strip, so
    persist what is costly to compute, or give `statistics`. Such an image has one psf, and its mask is ``"auto"``.

    Parameters
    ----------
    method : str or callable
        A method of `deconv.restore.METHODS` by its name, or a function of `deconv.restore`.
    image : array or Tensor
        As for the method, or anything with `shape`, `dtype` and NumPy's slicing, such as a memory map (also
        `tifffile.memmap`); it is read one tile at a time. Or a dask array, or an xarray `DataArray` of any of these.
        Several frames as for the method, as a list, or with ``frames=True``; psf, mask and sigma then may be lists.
    psf : array, Tensor or callable
        As for the method, for the whole image, `(kh, kw)`; or one for each tile: an array `(gy, gx, kh, kw)`, psfs at
        the centres of a grid of equal patches, interpolated linearly to the centre of each tile, which then is no
        larger than a patch; or a function ``psf(y, x)`` of the tile's centre in pixels, which may also return one
        for each sample and channel. For volumes all with one more axis. What fits into the memory is better restored
        with a grid as `psf_field` of the method, in one solve.
    out : array or Tensor, optional
        Where the result goes, like `image` but for its dtype, a memory map say; by default a new array. It must not be
        the image itself, whose pixels are needed by more than one tile.
    tile : int or sequence of int, optional
        Height and width of the tiles, at most, without their overlap; one number or one per axis. By default what fits
        into `memory`, 1024 at most where that is not given; and the chunks of a dask array, merged where they are
        smaller than the overlap.
    overlap : int or sequence of int, optional
        How far a tile is restored beyond its own pixels; by default four sizes of the psf, and 48 pixels at least, 16
        for volumes. For Richardson-Lucy :math:`2.5\sigma\sqrt n` is enough, with the standard deviation of the psf and
        the number of iterations, and three sizes.
    memory : int or str, optional
        What restoring a tile may take beside `image` and `out`, in bytes or as ``"8GiB"``; by default four fifths of
        what is free, on a GPU its own. It is kept with some allowance, for known methods; chunks of dask arrays are not
        made to fit.
    device : str or torch.device, optional
        Where tiles are restored, those of a dask array by its workers; by default where the image is.
    mask : array, Tensor or "auto", optional
        As for the method, of the image's height and width, also a memory map; or ``"auto"``.
    white : float, optional
        As for the method.
    channel_axis : int, optional
        As for the method.
    colours : bool, optional
        As for the method; by default decided by the image's middle, and of dask arrays not.
    sigma : float, array or Tensor, optional
        As for the method; by default measured in the whole image, what the psf gets wrong in its middle, and not for
        dask arrays.
    statistics : Statistics, optional
        As for the method; by default measured in the whole image.
    progress : bool, optional
        Show a bar; by default on a terminal, from the first second on.
    **options : Any
        The method's own keywords. The boundary is unknown: a tile has no other. A function of one's own that calls
        `richardson_lucy` chooses the total variation of each tile of a volume by itself; ``tv=`` is one for all.

    Returns
    -------
    array or Tensor
        `out`: kind of array, layout, range and, if it was not given, dtype of `image`.

    Raises
    ------
    ValueError
        Sizes that make no sense; a boundary other than unknown; an `out` of another shape, or `image` itself; for a
        dask array `out`, a progress bar, a mask other than ``"auto"``, more than one psf.
    """
    restore = as_method(method)
    for name, allowed in (("boundary", "unknown"), ("callback", None), ("info", False), ("psf_field", None)):
        if options.get(name, allowed) != allowed:
            raise ValueError(f"{name}: tiles take {allowed!r} only, given {options[name]!r}")
    listed = frames_of(image, bool(options.pop("frames", False)))
    each: list[Any] = [image] if listed is None else listed
    fields = [PsfField(own) for own in ([psf] if listed is None else one_for_each("psf", psf, len(each)))]
    masks = [mask] if listed is None else one_for_each("mask", mask, len(each))
    if len({field.space for field in fields}) > 1:
        raise ValueError("psf: expected as many axes for each frame, given some for images and some for volumes")
    ways_back, positions = [], channel_axis
    for number, own in enumerate(each):
        own, positions, relabel = without_labels(own, space=fields[0].space, channel_axis=channel_axis, name="image")
        own, missing, rewrap = without_mask(own)
        each[number], masks[number] = _own_mask(own, missing, masks[number])
        ways_back.append((relabel, rewrap))
    (relabel, rewrap), channel_axis = ways_back[0], positions  # the result is as the first frame
    array: Any = each[0]
    axes = spatial_positions(array, fields[0].space, channel_axis)
    where = array.device if isinstance(array, Tensor) else torch.device("cpu")
    where = where if device is None else usable_device(device)
    frame = [array.shape[axis] for axis in axes]
    size = [max(sides) for sides in zip(*(field.size(frame) for field in fields), strict=True)]
    if overlap is None:
        distances = [tile_overlap(restore, field, frame, options) for field in fields]
        reach = [max(along) for along in zip(*distances, strict=True)]
    else:
        reach = _sizes("overlap", overlap, len(axes), 0)
    if tile is not None or is_dask(array):
        core = _sizes("tile", _TILE if tile is None else tile, len(axes), 1)
    else:
        samples = len(each) * math.prod(array.shape) // max(math.prod(frame), 1)
        most = free_bytes(where) if memory is None else as_bytes(memory)
        fits = {"samples": samples, "itemsize": _width(array.dtype), "most": _TILE if memory is None else None}
        fits["device"] = where
        core = tile_within(most, restore, frame, size, reach, **fits)
    for grid in (field.grid for field in fields if field.grid is not None):
        core = [min(size, -(-n // count)) for size, n, count in zip(core, frame, grid, strict=True)]
    if any(is_dask(own) for own in each):
        if listed is not None:
            raise ValueError("image: tiles of several frames are of arrays that are there, given dask arrays")
        _check_lazy(frame, out, mask, fields[0], progress)
        place = {"axes": axes, "tile": None if tile is None else core, "reach": reach}
        place["device"] = None if device is None else where
        known = {"mask": mask, "white": white, "sigma": sigma, "statistics": statistics, "channel_axis": channel_axis}
        known["colours"] = colours
        return relabel(restore_chunks(restore, array, psf, **place, **known, **options))
    made = out is None
    if out is None:
        out = torch.zeros_like(array) if isinstance(array, Tensor) else np.zeros(array.shape, array.dtype)
    elif tuple(out.shape) != tuple(array.shape):
        raise ValueError(f"out: expected the image's shape {tuple(array.shape)}, given {tuple(out.shape)}")
    elif any(out is own for own in each):
        raise ValueError("out: must not be the image itself, whose pixels are needed by more than one tile")
    sought = any(isinstance(own, str) for own in masks)
    if white is None and sought:
        levels = {clipping_level(own, axes) for own in each}
        white = levels.pop() if len(levels) == 1 else None
    dtype = as_tensor(crop_to(array, axes, [(0, 1)] * len(axes)), name="image")[0].dtype
    level = white_of(dtype, white)
    layout = {"white": white, "channel_axis": channel_axis}
    middle = [field([(n - 1) / 2 for n in frame], frame) for field in fields]
    linear = bool(options.get("linear"))
    if listed is not None:
        levels_of_noise = one_for_each("sigma", sigma, len(each))
        measured = [
            streaming_statistics(own, axes, blur, mask=pixels, sigma=noise, linear=linear, **layout)
            for own, blur, pixels, noise in zip(each, middle, masks, levels_of_noise, strict=True)
        ]
        sigma = [own.sigma.flatten(1).to(where) for own in measured]
        statistics = Statistics.of_frames(measured, len(axes))[0] if statistics is None else statistics
    else:
        told = {"sigma": sigma, "colours": colours, "statistics": statistics, "options": options}
        colours, statistics = of_all_tiles(restore, array, axes, fields[0], mask=masks[0], **told, **layout)

    pieces = [equal_pieces(n, size) for n, size in zip(frame, core, strict=True)]
    if tile is not None:
        _warn_of_small_tiles(frame, pieces, core, reach)
    # No more than half a tile, so that what is blended on both sides of a small one does not meet.
    widths = [min(b - a for a, b in along) // 2 for along in pieces]
    cores = list(itertools.product(*pieces))
    title = restore.name.replace("_", " ")
    with ProgressBar(title, len(cores), shown=progress, delay=1.0, unit="tile") as bar:
        for own in cores:
            give_back_freed_memory()
            seen = [(max(a - r, 0), min(b + r, n)) for (a, b), r, n in zip(own, reach, frame, strict=True)]
            blurs = [field([(a + b - 1) / 2 for a, b in own], frame) for field in fields]
            parts, kept = [], []
            for whole, blur, pixels in zip(each, blurs, masks, strict=True):
                piece, _, pixels, _ = read_piece(whole, axes, blur, seen, mask=pixels, **layout)
                parts.append(piece.to(where))
                kept.append(pixels if pixels is None else pixels.to(where))
            known = {"sigma": sigma, "statistics": statistics.to(where), "progress": False}
            if level is not None:  # a method of one's own need not know of white
                known["white"] = level
            if colours or restore.opponents:
                known["colours"] = bool(colours)
            if listed is None:
                restored = restore(parts[0], blurs[0], mask=kept[0], **options, **known)
            else:
                restored = restore(parts, blurs, mask=kept, **options, **known)
            blend(out, axes, channel_axis, own, seen, frame, widths, restored)
            bar.advance()
    return relabel(rewrap(out)) if made else out


def _warn_of_small_tiles(
    frame: Sequence[int], pieces: Sequence[Sequence[tuple[int, int]]], core: Sequence[int], reach: Sequence[int]
) -> None:
    seen = zip(frame, pieces, reach, strict=True)
    repeated = math.prod(sum(min(b + r, n) - max(a - r, 0) for a, b in along) / n for n, along, r in seen)
    if repeated > _REPEATED:
        size, beyond = (" x ".join(map(str, sides)) for sides in (core, reach))
        warnings.warn(
            f"tile: of {size} pixels, restored with {beyond} more on each side, restores every pixel {repeated:.0f} "
            "times over; tiles as large as these or larger take a fraction of that",
            RestorationWarning,
            stacklevel=3,
        )


def _own_mask(image: Any, missing: Any, mask: Any) -> tuple[Any, Any]:
    """The image and its mask, where it has one of its own beside that which is given."""
    if missing is None or mask is None:
        return image, mask if missing is None else ~missing
    if isinstance(mask, str):
        return np.where(missing, np.nan, image), mask
    if tuple(mask.shape) != missing.shape:
        raise ValueError(f"mask: expected the shape of the image's own, {missing.shape}, given {tuple(mask.shape)}")
    return image, np.asarray(mask) * ~missing


def _check_lazy(frame: Sequence[float], out: Any, mask: Any, field: PsfField, progress: bool | None) -> None:
    """Refuse what a dask array cannot have."""
    if any(math.isnan(n) for n in frame):
        raise ValueError("image: the shape of a dask image must be known; call its compute_chunk_sizes() first")
    if out is not None:
        raise ValueError("out: not for a dask image, whose result is lazy; store it with dask.array.store")
    if mask is not None and not isinstance(mask, str):
        raise ValueError(f'mask: a dask image takes None or "auto", given {type(mask).__name__}')
    if field.varies:
        raise ValueError("psf: a dask image takes one for the whole image, given one for each tile")
    if progress:
        raise ValueError("progress: a dask image takes None or False; use dask.diagnostics.ProgressBar")


def _width(dtype: Any) -> int:
    """Bytes of a value while it is computed with."""
    return 8 if str(dtype).endswith(("float64", "complex128")) else 4


def _sizes(name: str, given: int | Sequence[int], space: int, least: int) -> list[int]:
    sizes = [given] * space if isinstance(given, int | float) else list(given)
    if len(sizes) != space or not all(isinstance(size, int) and size >= least for size in sizes):
        raise ValueError(f"{name}: expected a whole number of at least {least}, or {space} of them, given {given}")
    return sizes
