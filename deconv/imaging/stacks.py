"""Volumes in files: the slices of a microscope in one TIFF, or a NumPy file of three axes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import as_image_batch
from .depths import choose_depth, to_depth
from .files import check_writable, write_atomically

__all__ = ["STACK_KINDS", "holds_stack", "read_stack", "slices", "write_stack"]

# What a volume's file may be called.
STACK_KINDS = (".tif", ".tiff", ".npy")


def read_stack(path: str | os.PathLike) -> np.ndarray:
    """The volume in a file, `D x H x W`: uint8, uint16, float32 or float64.

    path: a TIFF of many slices, or a ``.npy`` file. A file of one image is a stack of one slice.

    Raises
    ------
    OSError: the file cannot be opened. ValueError: it holds no volume of grey values.
    """
    data = Path(path).read_bytes()
    try:
        volume = slices(data)
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
    """Write a volume `D x H x W` to a TIFF of its slices or a ``.npy`` file, completely or not at all.

    volume: array or tensor. like, bits: whose depth, or how many bits per value, the file has, as in
        `deconv.imaging.write_image`.

    Raises
    ------
    ValueError: not a volume, NaN, another kind of file. OSError: the folder may not be written to.
    """
    check_writable(path, bits=bits, kinds=STACK_KINDS)
    if volume.ndim != 3:
        raise ValueError(f"volume: expected D x H x W, given the shape {tuple(volume.shape)}")
    batch, _ = as_image_batch(volume, space=3, name="volume")
    suffix = Path(path).suffix.lower()
    wanted = str(volume.dtype).removeprefix("torch.") if like is None else like.dtype.name
    values = to_depth(batch[0, 0].detach().cpu().numpy(), choose_depth(suffix, bits, wanted))
    stream = io.BytesIO()
    if suffix == ".npy":
        np.save(stream, values)
    else:
        import tifffile

        tifffile.imwrite(stream, values, photometric="minisblack", metadata={"axes": "ZYX"})
    write_atomically(path, stream.getvalue())


def holds_stack(data: bytes) -> bool:
    """Whether these are the bytes of a TIFF of more than one grey slice."""
    if data[:2] not in (b"II", b"MM"):
        return False
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return len(file.pages) > 1 and "S" not in file.series[0].axes
    except (tifffile.TiffFileError, IndexError):
        return False


def slices(data: bytes) -> np.ndarray:
    """The array in the bytes of a TIFF or NumPy file, with as many axes as it has."""
    if data[:6] == b"\x93NUMPY":
        array = np.load(io.BytesIO(data), allow_pickle=False)
    else:
        import tifffile

        try:
            with tifffile.TiffFile(io.BytesIO(data)) as file:
                kinds = {(series.shape, series.dtype, series.axes) for series in file.series}
                if len(kinds) > 1:
                    raise ValueError(f"it holds images of {len(kinds)} different kinds; expected one stack")
                if "S" in file.series[0].axes:
                    raise ValueError("it holds colours; expected slices of grey values")
                parts = [series.asarray() for series in file.series]
                array = parts[0] if len(parts) == 1 else np.stack(parts)
        except tifffile.TiffFileError:
            raise ValueError("it is not a TIFF or .npy file") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)
