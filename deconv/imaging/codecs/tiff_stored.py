"""Stacks in TIFF files that are larger than the memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import tifffile

from ..picture import Volume
from ..stored_array import StoredArray
from .tiff_notes import imagej_notes, notes_of, ome_notes
from .tiff_stack import axes_of, missing_decoder, number_of_black, series_of

__all__ = ["locate_volume", "write_slices"]

_IMAGEJ_ORDER = "TZCYX"

# What fits into a TIFF file of 32-bit offsets, the only one that ImageJ itself writes.
_LARGEST_IMAGEJ = 2**32 - 2**25


def locate_volume(path: str | os.PathLike, part: int | None) -> tuple[Volume, Iterator[np.ndarray] | None] | None:
    """Where the stack is in a TIFF file, or its pages one by one where they are compressed or apart."""
    try:
        with tifffile.TiffFile(path) as file:
            series = series_of(file, part)
            if "S" in series.axes or series.ndim < 3 or (part is None and len(file.series) > 1):
                return None
            number, page, offset = file.series.index(series), series.keyframe, series.dataoffset
            dtype = series.dtype.newbyteorder("=" if offset is None else file.byteorder)
            stored = StoredArray(path, series.shape, dtype, offset or 0, number_of_black(page))
            if offset is not None and offset + math.prod(series.shape) * dtype.itemsize > os.path.getsize(path):
                raise ValueError("the file is damaged: it is cut short")
            values = cast(np.ndarray, stored)
            volume = Volume(values, axes=axes_of(series.axes, series.shape), **notes_of(file, number))
    except tifffile.TiffFileError as error:
        raise ValueError(f"the image is damaged ({error})") from None
    return volume, None if offset is not None else _pages(path, number)


def write_slices(
    path: str | os.PathLike, slices: Iterator[np.ndarray], shape: tuple[int, ...], dtype: np.dtype, like: Volume
) -> None:
    """A TIFF file, slice by slice: ImageJ's where `like` is and it has room, OME's where there is something to say."""
    small = math.prod(shape) * dtype.itemsize < _LARGEST_IMAGEJ
    ordered = [axis for axis in _IMAGEJ_ORDER if axis in like.axes] == list(like.axes)
    if like.program != "ome" and (like.program or like.voxel) and small and ordered and dtype != np.float64:
        metadata, resolution = imagej_notes(like)
        kind: dict[str, Any] = {"imagej": True, "resolution": resolution}
    elif like.program or like.voxel:
        metadata, kind = ome_notes(like), {"ome": True, "photometric": "minisblack"}
    else:
        metadata, kind = {"axes": like.axes}, {"photometric": "minisblack"}
    # The plain iterator of slices, and not of what a sequence of them would be taken for.
    tifffile.imwrite(path, (each for each in slices), shape=shape, dtype=dtype, metadata=metadata, **kind)


def _pages(path: str | os.PathLike, number: int) -> Iterator[np.ndarray]:
    with tifffile.TiffFile(path) as file:
        series = file.series[number]
        for page in series.pages:
            try:
                yield np.zeros(series.shape[-2:], series.dtype) if page is None else page.asarray()
            except (ValueError, ImportError):
                raise missing_decoder(series.keyframe) from None
