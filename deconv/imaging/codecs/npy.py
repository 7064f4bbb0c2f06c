"""NumPy's own files: pictures as `H x W`, `H x W x samples`, volumes as `D x H x W`."""

from __future__ import annotations

import io

import numpy as np

from ..picture import Picture

__all__ = ["decode", "decode_volume", "encode", "encode_volume", "holds_volume"]


def decode(data: bytes) -> Picture:
    """The picture that the array is."""
    return Picture.from_samples(decode_volume(data))


def encode(picture: Picture) -> bytes:
    """A file of pixels and opacity in one array."""
    return encode_volume(picture.samples())


def holds_volume(data: bytes) -> bool:
    """True: an array is taken as it is where a psf of two or three axes is wanted."""
    return True


def decode_volume(data: bytes) -> np.ndarray:
    """The array."""
    array = np.load(io.BytesIO(data), allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def encode_volume(volume: np.ndarray) -> bytes:
    """A file of the array."""
    stream = io.BytesIO()
    np.save(stream, volume)
    return stream.getvalue()
