"""Stacks that stay on disk: TIFF and NumPy files of any size, read piece by piece and written slice by slice."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from .decoding import decoding
from .formats import format_of_bytes, format_of_name
from .picture import Volume
from .stacks import with_channels
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
        A TIFF or ``.npy`` file.
    folder : path-like
        Where compressed pages are written, one by one, as they are.
    part, channel_axis : int, optional
        As for `deconv.imaging.stacks.read_volume`.

    Yields
    ------
    Volume or None
        None where the file is of another kind, or no stack of grey values in one series.
    """
    with open(path, "rb") as file:
        beginning = file.read(4096)
    with decoding(path):
        format = format_of_bytes(beginning)
        if not format.stored:
            yield None
            return
        found = format.codec.locate_volume(path, part)
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
        inverted = isinstance(values, StoredArray) and values.inverted
        yield replace(volume, values=cast(np.ndarray, replace(scratch, inverted=inverted)), axes=axes)


def write_slices(
    path: str | os.PathLike, slices: Iterator[np.ndarray], shape: tuple[int, ...], dtype: np.dtype, like: Volume
) -> None:
    """Write a stack slice by slice, completely or not at all.

    Parameters
    ----------
    path : path-like
        A TIFF or ``.npy`` file.
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
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        format.codec.write_slices(temporary, slices, shape, dtype, like)
        with suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
