"""NumPy's own files: pictures as `H x W` or `H x W x 3`, volumes as `D x H x W`."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from typing import cast

import numpy as np

from ..decoding import check_size
from ..picture import Picture, Volume
from ..stored_array import StoredArray

__all__ = [
    "decode",
    "decode_volume",
    "encode",
    "encode_volume",
    "holds_volume",
    "locate_volume",
    "read_array",
    "write_slices",
]


def decode(data: bytes, max_pixels: int) -> Picture:
    """The picture that the array is."""
    array = read_array(data)
    check_size(array.shape[:2], max_pixels)
    return Picture.from_samples(array, opacity=False)


def encode(picture: Picture) -> bytes:
    """A file of the pixels."""
    return encode_volume(Volume(picture.pixels))


def holds_volume(data: bytes) -> bool:
    """True: an array is taken as it is where a psf of two or three axes is wanted."""
    return True


def decode_volume(data: bytes, max_pixels: int) -> Volume:
    """The array."""
    array = read_array(data)
    check_size(array.shape, max_pixels)
    return Volume(array, axes="ZYX"[-array.ndim :])


def encode_volume(volume: Volume) -> bytes:
    """A file of the array."""
    stream = io.BytesIO()
    np.save(stream, volume.values)
    return stream.getvalue()


def locate_volume(path: str | os.PathLike, part: int | None = None) -> tuple[Volume, None] | None:
    """Where the array is; None for one that is not in the order of C."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim < 3 or not array.flags.c_contiguous:
        return None
    values = StoredArray(path, array.shape, array.dtype, array.offset)
    return Volume(cast(np.ndarray, values), axes="ZYX"[-array.ndim :]), None


def write_slices(
    path: str | os.PathLike, slices: Iterator[np.ndarray], shape: tuple[int, ...], dtype: np.dtype, like: Volume
) -> None:
    """A file of the array, slice by slice."""
    with open(path, "xb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for each in slices:
            file.write(np.ascontiguousarray(each, dtype).data)


def read_array(data: bytes) -> np.ndarray:
    """The array in the bytes of a file, which it shares; nothing is unpickled, nothing allocated that is not there."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read (allow_pickle)")
    count, start = math.prod(shape), stream.tell()
    if count * dtype.itemsize > len(data) - start:
        raise ValueError(f"the file is damaged: {len(data) - start} bytes for an array {shape} of {dtype}")
    array = np.frombuffer(data, dtype, count, start)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
