"""Volumes in files: the slices of a microscope in one TIFF, or a NumPy file of three axes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import as_image_batch
from .depths import choose_depth, to_depth
from .files import check_writable, write_atomically
from .formats import format_of_bytes, format_of_name, listing

__all__ = ["read_stack", "write_stack"]


def read_stack(path: str | os.PathLike) -> np.ndarray:
    """The volume in a file.

    Parameters
    ----------
    path : path-like
        A TIFF of many slices, or a ``.npy`` file. A file of one image is a stack of one slice.

    Returns
    -------
    ndarray
        `D x H x W`, uint8, uint16, float32 or float64.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It holds no volume of grey values.
    """
    data = Path(path).read_bytes()
    try:
        format = format_of_bytes(data)
        if not format.volumes:
            raise ValueError(f"a {format.name} file holds no volume; expected {listing(volumes=True)}")
        volume = format.codec.decode_volume(data)
        if volume.dtype.name not in ("uint8", "uint16", "float32", "float64"):
            raise ValueError(f"its values are of dtype {volume.dtype}; allowed are 8 or 16 bits and floats")
        if volume.ndim == 2:
            volume = volume[None]
        if volume.ndim != 3 or volume.size == 0:
            raise ValueError(f"its shape is {volume.shape}; expected slices of grey values, D x H x W")
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return volume


def write_stack(
    path: str | os.PathLike, volume: Any, *, like: np.ndarray | None = None, bits: int | None = None
) -> None:
    """Write a volume to a TIFF of its slices or a ``.npy`` file, completely or not at all.

    Parameters
    ----------
    path : path-like
        Where to.
    volume : array or Tensor
        `D x H x W`.
    like : ndarray, optional
        A volume whose depth the file gets.
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
    wanted = str(volume.dtype).removeprefix("torch.") if like is None else like.dtype.name
    values = to_depth(batch[0, 0].detach().cpu().numpy(), choose_depth(format, bits, wanted))
    write_atomically(path, format.codec.encode_volume(values))
