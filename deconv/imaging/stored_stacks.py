"""Stacks that stay on disk: TIFF, NumPy and OME-Zarr of any size, read piece by piece and written slice by slice."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import numpy as np

from .decoding import decoding
from .files import replacing
from .formats import format_of_bytes, format_of_folder, format_of_name
from .picture import Volume
from .stacks import named_program, with_channels
from .stored_array import StoredArray, scratch_array

__all__ = ["stored_volume", "write_slices"]


@contextmanager
def stored_volume(
    path: str | os.PathLike, *, folder: str | os.PathLike, part: int | None = None, channel_axis: int | None = None
) -> Iterator[Volume | None]:
    """A stack whose values are a `StoredArray`.

    Parameters
    ----------
    path : path-like
        A file of a format that is `deconv.imaging.formats.Format.stored`.
    folder : path-like
        Where compressed slices are written, one by one, as they are.
    part, channel_axis : int, optional
        As for `deconv.imaging.stacks.read_volume`.

    Yields
    ------
    Volume or None
        None where the file is of another kind, or no stack of grey values in one series.
    """
    known, beginning = format_of_folder(path), b""
    if known is None:
        with open(path, "rb") as file:
            beginning = file.read(4096)
    with decoding(path):
        format = known or format_of_bytes(beginning)
        if not format.stored:
            yield None
            return
        found = format.codec.locate_volume(path, part)
        _ = None if found is None else found[0].values.dtype  # refuses what is not allowed, naming the file
    if found is None:
        yield None
        return
    volume, pages = found
    values = volume.values
    axes = volume.axes
    if channel_axis is not None:
        axes = with_channels(values.shape, axes if len(axes) == values.ndim else "", channel_axis)
    if len(axes) != values.ndim or "Z" not in axes:
        yield None
        return
    if pages is None:
        yield replace(volume, axes=axes)
        return
    with scratch_array(folder, values.shape, values.dtype) as scratch:
        rows = replace(scratch, shape=(math.prod(values.shape[:-2]), *values.shape[-2:]))
        with decoding(path):
            for number, page in enumerate(pages):
                rows[number] = page
        black = values.black if isinstance(values, StoredArray) else None
        yield replace(volume, values=cast(np.ndarray, replace(scratch, black=black)), axes=axes)


def write_slices(
    path: str | os.PathLike, slices: Iterator[np.ndarray], shape: tuple[int, ...], dtype: np.dtype, like: Volume
) -> None:
    """Write a stack slice by slice, completely or not at all.

    Parameters
    ----------
    path : path-like
        A file of a format that is `deconv.imaging.formats.Format.stored`.
    slices : iterator of ndarray
        In the order of the axes.
    shape : tuple of int
        Of the stack.
    dtype : dtype
        Of the slices.
    like : Volume
        Whose axes, voxel size and notes the file gets.
    """
    format = format_of_name(path, volumes=True)
    with replacing(path) as temporary:
        format.codec.write_slices(temporary, slices, shape, dtype, named_program(path, like))
