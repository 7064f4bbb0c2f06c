"""Stacks in files: the slices, channels and times of a microscope, the cubes of a telescope."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import as_image_batch
from .decoding import MAX_PIXELS, check_size, decoding
from .depths import choose_depth, to_depth
from .files import check_writable, replacing, write_atomically
from .formats import Format, format_of_bytes, format_of_folder, format_of_name, listing
from .picture import Volume, as_pixels

__all__ = ["Volume", "read_stack", "read_volume", "volume_in_folder", "with_channels", "write_stack"]

# Axes that are none of a volume.
_OTHERS = {"C": "channels", "T": "times"}


def read_stack(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The volume in a file.

    Parameters
    ----------
    path : path-like
        A file of a format that `deconv.imaging.formats` lists for volumes, a TIFF of many slices, say. A file of one
        image is a stack of one slice.
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
        It holds no volume of grey values, has channels or times, is damaged, or too large.
    """
    volume = read_volume(path, max_pixels=max_pixels)
    if others := " and ".join(word for axis, word in _OTHERS.items() if axis in volume.axes):
        raise ValueError(
            f"{os.fspath(path)}: its axes are {volume.axes}: {others}, not slices only; expected ZYX, a file for each"
        )
    return volume.values if volume.values.ndim == 3 else volume.values[None]


def read_volume(
    path: str | os.PathLike,
    *,
    max_pixels: int = MAX_PIXELS,
    part: int | None = None,
    channel_axis: int | None = None,
) -> Volume:
    """A stack with its axes, the size of its voxels and the names of its channels.

    Parameters
    ----------
    path, max_pixels : path-like, int
        As for `read_stack`.
    part : int, optional
        Which of several series of a TIFF or HDUs of a FITS file; by default the first that has an image.
    channel_axis : int, optional
        Which axis counts channels, in a file that does not say so; of two others before the last two the first then
        counts times.

    Returns
    -------
    Volume

    Raises
    ------
    OSError, ValueError
        As `read_stack`, which also refuses channels and times.
    """
    folder = format_of_folder(path)
    data = b"" if folder else Path(path).read_bytes()
    with decoding(path):
        format = folder or format_of_bytes(data)
        if not format.volumes:
            raise ValueError(f"a {format.name} file holds no volume; expected {listing(volumes=True)}")
        if part is not None and not format.parts:
            raise ValueError(f"a {format.name} file has no series or HDUs, given {part}")
        if folder:
            volume = volume_in_folder(folder, path, max_pixels, part)
        else:
            options = {"part": part} if format.parts else {}
            volume = format.codec.decode_volume(data, max_pixels, **options)
        values = as_pixels(volume.values)
        if values.ndim < 2 or values.ndim > 5 or values.size == 0:
            raise ValueError(f"its shape is {values.shape}; expected slices of grey values, D x H x W")
        axes = volume.axes
        if channel_axis is not None:
            axes = with_channels(values.shape, axes if len(axes) == values.ndim else "", channel_axis)
        elif values.ndim == 2:
            axes = "YX"
        elif len(axes) != values.ndim:
            raise ValueError(f"its shape is {values.shape}; expected D x H x W, or --channel-axis (channel_axis=)")
        return replace(volume, values=values, axes=axes)


def write_stack(
    path: str | os.PathLike, volume: Any, *, like: np.ndarray | Volume | None = None, bits: int | None = None
) -> None:
    """Write a stack to a TIFF, an OME-Zarr or another file that holds volumes, completely or not at all.

    Parameters
    ----------
    path : path-like
        Where to; a folder is made for ``.zarr``.
    volume : array or Tensor
        `D x H x W`, or with the axes of `like`.
    like : ndarray or Volume, optional
        A volume whose depth the file gets, and its axes, voxel size, channels' names and header, as far as they are
        known. An ImageJ stack stays one, an OME file too, and OME-Zarr has as many smaller sizes.
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
    model = Volume(like) if isinstance(like, np.ndarray) else like
    axes = "ZYX" if model is None or len(model.axes) != model.values.ndim else model.axes
    if volume.ndim != len(axes):
        expected = "D x H x W" if axes == "ZYX" else f"the axes {axes}"
        raise ValueError(f"volume: expected {expected}, given the shape {tuple(volume.shape)}")
    slices = volume.reshape(-1, *volume.shape[-2:])
    batch, _ = as_image_batch(slices, space=3, name="volume")
    format = format_of_name(path, volumes=True)
    wanted = str(volume.dtype).removeprefix("torch.") if model is None else model.values.dtype.name
    values = to_depth(batch[0, 0].detach().cpu().numpy(), choose_depth(format, bits, wanted))
    values = values.reshape(tuple(volume.shape))
    made = Volume(values, axes=axes) if model is None else replace(model, values=values, axes=axes)
    made = named_program(path, made)
    if format.folder:
        planes = iter(values.reshape(-1, *values.shape[-2:]))
        with replacing(path) as temporary:
            format.codec.write_slices(temporary, planes, values.shape, values.dtype, made)
    else:
        write_atomically(path, format.codec.encode_volume(made))


def named_program(path: str | os.PathLike, volume: Volume) -> Volume:
    """The stack as the program would write it that the file's name tells: OME for ``.ome.tif``."""
    return replace(volume, program="ome") if Path(path).name.lower().endswith((".ome.tif", ".ome.tiff")) else volume


def volume_in_folder(format: Format, path: str | os.PathLike, max_pixels: int, part: int | None = None) -> Volume:
    """The stack in a folder of a format, read as a whole."""
    found = format.codec.locate_volume(path, part)
    if found is None:
        raise ValueError("it holds no stack")
    volume, _ = found
    check_size(volume.values.shape, max_pixels)
    return replace(volume, values=volume.values[...])


def with_channels(shape: tuple[int, ...], axes: str, channel_axis: int) -> str:
    """The axes of an array of which the channels' one is named."""
    count = len(shape)
    if not 3 <= count <= 5 or not -count <= channel_axis < count:
        raise ValueError(f"channel_axis: the shape {shape} has no axis {channel_axis} for channels")
    if "C" in axes and axes.index("C") != channel_axis % count:
        raise ValueError(f"channel_axis: its axes are {axes}, given {channel_axis}")
    others = list("TZYX"[5 - count :])
    others.insert(channel_axis % count, "C")
    return "".join(others)
