"""Volumes in files: the slices of a microscope in one TIFF, or a NumPy file of three axes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import as_image_batch
from .decoding import MAX_PIXELS, decoding
from .depths import choose_depth, to_depth
from .files import check_writable, write_atomically
from .formats import format_of_bytes, format_of_name, listing
from .picture import Volume, as_pixels

__all__ = ["Volume", "read_stack", "read_volume", "write_stack"]


def read_stack(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The volume in a file.

    Parameters
    ----------
    path : path-like
        A TIFF of many slices, or a ``.npy`` file. A file of one image is a stack of one slice.
    max_pixels : int
        Files that declare more voxels are refused before anything is allocated.

    Returns
    -------
    ndarray
        `D x H x W`, uint8, uint16, float32 or float64. Signed and 32-bit integers become floats, unchanged.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It holds no volume of grey values, is damaged, or too large.
    """
    return read_volume(path, max_pixels=max_pixels).values


def read_volume(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> Volume:
    """The volume in a file together with the size of its voxels; arguments and errors as `read_stack`."""
    data = Path(path).read_bytes()
    with decoding(path):
        format = format_of_bytes(data)
        if not format.volumes:
            raise ValueError(f"a {format.name} file holds no volume; expected {listing(volumes=True)}")
        volume = format.codec.decode_volume(data, max_pixels)
        values = as_pixels(volume.values)
        values = values[None] if values.ndim == 2 else values
        if values.ndim != 3 or values.size == 0:
            raise ValueError(f"its shape is {values.shape}; expected slices of grey values, D x H x W")
        return replace(volume, values=values)


def write_stack(
    path: str | os.PathLike, volume: Any, *, like: np.ndarray | Volume | None = None, bits: int | None = None
) -> None:
    """Write a volume to a TIFF of its slices or a ``.npy`` file, completely or not at all.

    Parameters
    ----------
    path : path-like
        Where to.
    volume : array or Tensor
        `D x H x W`.
    like : ndarray or Volume, optional
        A volume whose depth the file gets, and whose voxel size, if it is known.
    bits : {8, 16, 32, 64}, optional
        Per value, as in `deconv.imaging.write_image`.

    Raises
    ------
    ValueError
        Not a volume, NaN, another kind of file.
    OSError
        The folder may not be written to.
    """
    check_writable(path, bits=bits, volume=True)
    if volume.ndim != 3:
        raise ValueError(f"volume: expected D x H x W, given the shape {tuple(volume.shape)}")
    batch, _ = as_image_batch(volume, space=3, name="volume")
    format = format_of_name(path, volumes=True)
    model = Volume(like) if isinstance(like, np.ndarray) else like
    wanted = str(volume.dtype).removeprefix("torch.") if model is None else model.values.dtype.name
    values = to_depth(batch[0, 0].detach().cpu().numpy(), choose_depth(format, bits, wanted))
    write_atomically(path, format.codec.encode_volume(Volume(values, None if model is None else model.voxel)))
