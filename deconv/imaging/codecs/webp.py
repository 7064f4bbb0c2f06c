"""WebP, written without loss."""

from __future__ import annotations

from dataclasses import replace

from ..picture import Picture
from .pillow import decode_with_pillow, encode_with_pillow

__all__ = ["decode", "encode"]

# Of blurred photographs, qualities 75 to 90: 0.012 to 0.007.
_LOSS = 0.01


def decode(data: bytes, max_pixels: int) -> Picture:
    """The picture in a WebP file."""
    picture = decode_with_pillow(data, "WEBP", max_pixels)
    return picture if data[12:16] == b"VP8L" else replace(picture, loss=(_LOSS,), coder="WebP")


def encode(picture: Picture) -> bytes:
    """A WebP file; colours under transparency are kept."""
    return encode_with_pillow(picture, "WEBP", lossless=True, exact=True, quality=30, method=2)
