"""NumPy's own files: pictures as `H x W` or `H x W x 3`, volumes as `D x H x W`."""

from __future__ import annotations

import io
import math

import numpy as np

from ..decoding import check_size
from ..picture import Picture, Volume

__all__ = ["decode", "decode_volume", "encode", "encode_volume", "holds_volume", "read_array"]


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
