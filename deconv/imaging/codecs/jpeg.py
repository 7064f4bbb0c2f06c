"""JPEG, written with quality 95 and colours at full resolution."""

from __future__ import annotations

from ..picture import Picture
from .pillow import decode_with_pillow, encode_with_pillow

__all__ = ["decode", "encode"]


def decode(data: bytes, max_pixels: int) -> Picture:
    """The picture in a JPEG file."""
    return decode_with_pillow(data, "JPEG", max_pixels)


def encode(picture: Picture) -> bytes:
    """A JPEG file."""
    return encode_with_pillow(picture, "JPEG", quality=95, subsampling="4:4:4")
