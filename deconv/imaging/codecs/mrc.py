"""MRC, the volumes of electron microscopes."""

from __future__ import annotations

import struct

import numpy as np

from ..decoding import check_size
from ..picture import Picture, Volume, VoxelSize, as_pixels

__all__ = ["decode", "decode_volume", "encode", "encode_volume", "holds_volume"]

_HEADER = 1024
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_MODES = {"float32": 2, "uint16": 6}
_BIG_ENDIAN = b"\x11\x11"  # where the byte order is said, at 212


def decode(data: bytes, max_pixels: int) -> Picture:
    """The one image in the file."""
    volume = decode_volume(data, max_pixels)
    if len(volume.values) != 1:
        raise ValueError(f"it holds a stack of shape {volume.values.shape}; expected one image")
    return Picture.from_samples(volume.values[0], opacity=False)


def encode(picture: Picture) -> bytes:
    """A file of one grey image."""
    if picture.pixels.ndim != 2:
        raise ValueError("MRC holds no colours")
    return encode_volume(Volume(picture.pixels[None]))


def holds_volume(data: bytes) -> bool:
    """Whether it has more than one slice."""
    return _size(data)[0] > 1


def decode_volume(data: bytes, max_pixels: int) -> Volume:
    """The slices in the file, whose voxel size is in angstroms."""
    order = _order(data)
    shape = _size(data)
    check_size(shape, max_pixels)
    (mode,) = struct.unpack_from(order + "i", data, 12)
    if mode not in _DTYPES:
        raise ValueError(f"its values are of mode {mode}; MRC is read with {', '.join(map(str, _DTYPES))}")
    samples = struct.unpack_from(order + "3i", data, 28)
    cell = struct.unpack_from(order + "3f", data, 40)
    (extended,) = struct.unpack_from(order + "i", data, 92)
    dtype, count, start = np.dtype(order + _DTYPES[mode]), int(np.prod(shape)), _HEADER + extended
    if min(shape) < 1 or extended < 0 or start + count * dtype.itemsize > len(data):
        raise ValueError(f"the file is damaged: {len(data)} bytes for {' x '.join(map(str, shape))} of {dtype}")
    values = np.frombuffer(data, dtype, count, start).reshape(shape)
    values = values.astype(np.float32) if mode == 0 else as_pixels(values)
    if min(samples) < 1 or not all(np.isfinite(cell)) or min(cell) <= 0:
        return Volume(values)
    x, y, z = (length / n for length, n in zip(cell, samples, strict=True))
    return Volume(values, VoxelSize(z, (1 / x, 1 / y), "angstrom"))


def encode_volume(volume: Volume) -> bytes:
    """A file of slices."""
    values = np.ascontiguousarray(volume.values)
    if values.ndim != 3:
        raise ValueError(f"MRC holds slices, D x H x W; given the axes {volume.axes}")
    size = values.shape[::-1]
    voxel = volume.voxel
    if voxel is not None and voxel.unit == "angstrom" and voxel.spacing and voxel.resolution:
        lengths = (1 / voxel.resolution[0], 1 / voxel.resolution[1], voxel.spacing)
    else:
        lengths = (0.0, 0.0, 0.0)
    header = bytearray(_HEADER)
    struct.pack_into("<4i", header, 0, *size, _MODES[values.dtype.name])
    struct.pack_into("<3i", header, 28, *size)
    struct.pack_into("<3f", header, 40, *(n * length for n, length in zip(size, lengths, strict=True)))
    struct.pack_into("<3f3i", header, 52, 90, 90, 90, 1, 2, 3)
    mean, deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    struct.pack_into("<3f", header, 76, float(values.min()), float(values.max()), mean)
    struct.pack_into("<i", header, 88, 1)
    struct.pack_into("<i", header, 108, 20140)
    header[208:216] = b"MAP DD\0\0"
    struct.pack_into("<f", header, 216, deviation)
    return bytes(header) + values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _order(data: bytes) -> str:
    return ">" if data[212:214] == _BIG_ENDIAN else "<"


def _size(data: bytes) -> tuple[int, int, int]:
    """Slices, rows and columns."""
    if len(data) < _HEADER:
        raise ValueError("the file is damaged: it is cut short")
    columns, rows, slices = struct.unpack_from(_order(data) + "3i", data, 0)
    return slices, rows, columns
