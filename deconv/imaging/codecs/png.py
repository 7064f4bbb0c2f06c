"""PNG, of 8 and of 16 bits."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np

from ..picture import Picture
from .pillow import decode_with_pillow, encode_with_pillow

__all__ = ["decode", "encode"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS, _COLOUR_TYPE = 24, 25  # where the header says so
_GREY_WITH_OPACITY = 4
_EXIF_OF_JPEG = b"Exif\0\0"  # how the notes begin there, and do not in PNG
_METRES_PER_INCH = 0.0254


def decode(data: bytes, max_pixels: int) -> Picture:
    """The picture in a PNG file."""
    picture = decode_with_pillow(data, "PNG", max_pixels)
    if data[_BITS] != 16:
        return picture
    # Pillow has no 16-bit colour: it tells the rest, OpenCV the pixels.
    from .opencv import decode_with_opencv

    array = decode_with_opencv(data)
    if array.ndim == 3 and data[_COLOUR_TYPE] == _GREY_WITH_OPACITY:  # which OpenCV spreads over three channels
        array = array[..., [0, 3]]
    deep = Picture.from_samples(array, opacity=True)
    return replace(deep, profile=picture.profile, exif=picture.exif, dpi=picture.dpi)


def encode(picture: Picture) -> bytes:
    """A PNG file of 8 or 16 bits."""
    if picture.pixels.dtype != np.uint16:
        return encode_with_pillow(picture, "PNG")
    import cv2

    array = picture.samples()
    if array.ndim == 3:
        # OpenCV has no grey with opacity: that becomes colour.
        array = array[..., [0, 0, 0, 1] if array.shape[2] == 2 else [2, 1, 0, 3][: array.shape[2]]]
    ok, encoded = cv2.imencode(".png", np.ascontiguousarray(array))
    if not ok:
        raise ValueError("the image could not be written as PNG")
    data, chunks = encoded.tobytes(), b""
    if picture.profile is not None:
        chunks += _chunk(b"iCCP", b"profile\0\0" + zlib.compress(picture.profile))
    if picture.dpi is not None:
        x, y = (round(dots / _METRES_PER_INCH) for dots in picture.dpi)
        chunks += _chunk(b"pHYs", struct.pack(">IIB", x, y, 1))
    if picture.exif is not None:
        chunks += _chunk(b"eXIf", picture.exif.removeprefix(_EXIF_OF_JPEG))
    header = len(_SIGNATURE) + 25  # the signature and the IHDR chunk, after which these belong
    return data[:header] + chunks + data[header:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
