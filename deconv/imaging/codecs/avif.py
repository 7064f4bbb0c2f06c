"""AVIF of 8 bits, written with quality 95 and colours at full resolution."""

from __future__ import annotations

from dataclasses import replace

from ..picture import Picture
from .pillow import decode_with_pillow, encode_with_pillow

__all__ = ["decode", "encode"]

# Of blurred photographs, qualities 75 to 90: 0.007 to 0.005.
_LOSS = 0.006

_HIGH_BIT_DEPTH = 0x40  # in the third byte of the decoder's configuration


def decode(data: bytes, max_pixels: int) -> Picture:
    """The picture in the file."""
    box = data.find(b"av1C", 0, 4096)
    if box >= 0 and data[box + 6] & _HIGH_BIT_DEPTH:
        raise ValueError("its pixels have 10 or 12 bits; AVIF is read with 8; save it as 16-bit PNG or TIFF")
    return replace(decode_with_pillow(data, "AVIF", max_pixels), loss=(_LOSS,), coder="AVIF")


def encode(picture: Picture) -> bytes:
    """An AVIF file."""
    return encode_with_pillow(picture, "AVIF", quality=95, subsampling="4:4:4")
