"""Bytes of image files, as other programs write them."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image

RNG = np.random.default_rng(0)


def draw(dtype: str, *shape: int) -> np.ndarray:
    if dtype.startswith("float"):
        return RNG.normal(0.5, 1.0, shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def smooth(*channels: int) -> np.ndarray:
    """Something that survives JPEG."""
    row, column = np.mgrid[:40, :56]
    base = np.stack([128 + 90 * np.sin(row / 9 + c) * np.cos(column / 11) for c in range(3)], -1)
    return (base if channels else base[..., 0]).round().astype(np.uint8)


def pillow(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def deep_png(array: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG written by hand from the specification."""
    height, width = array.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def raw_photograph() -> bytes:
    """As DNG, NEF and ARW files are: a thumbnail, and the sensor's measurement in one of its sub-files."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(draw("uint8", 6, 8, 3), photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        file.write(draw("uint16", 24, 32), photometric="cfa", subfiletype=0, metadata=None)
    return stream.getvalue()


def oversized_png() -> bytes:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(999)))


def palette(**options) -> bytes:
    image = Image.fromarray(np.uint8([[0, 1], [2, 1]])).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return pillow(image, "PNG", **options)


def saved(array: np.ndarray, suffix: str, *options: int) -> bytes:
    ok, data = cv2.imencode(suffix, array, list(options))
    assert ok
    return data.tobytes()


GREY16, RGB16, LA16, RGBA16 = (draw("uint16", 5, 7, *c) for c in ((), (3,), (2,), (4,)))
GREY8, RGB8, LA8, RGBA8 = (draw("uint8", 5, 7, *c) for c in ((), (3,), (2,), (4,)))
COLOURS = np.uint8([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]])
LZW = (cv2.IMWRITE_TIFF_COMPRESSION, 5)
