"""Raw photographs of cameras, read only, by LibRaw: measured light, one colour in each pixel.

They are developed with the camera's white balance, without brightening, to sRGB of 16 bits.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

import numpy as np

from ..decoding import check_size
from ..picture import Picture
from .exif import exif_of_tiff

__all__ = ["decode", "is_raw"]

# The transfer function of sRGB, as LibRaw takes it: the exponent and the slope near black.
_SRGB = (2.4, 12.92)

_DNG_VERSION = 50706


def decode(data: bytes, max_pixels: int) -> Picture:
    """The developed photograph, upright."""
    with _rawpy().imread(io.BytesIO(data)) as raw:
        check_size((raw.sizes.height, raw.sizes.width), max_pixels)
        pixels = raw.postprocess(gamma=_SRGB, no_auto_bright=True, output_bps=16, use_camera_wb=True)
    return Picture(np.ascontiguousarray(pixels), exif=exif_of_tiff(data), raw=True)


def is_raw(data: bytes, tags: Any) -> bool:
    """Whether a file that begins as a TIFF, with these tags in its first directory, is a camera's."""
    return data[8:10] == b"CR" or _DNG_VERSION in tags


def _rawpy() -> Any:
    try:
        return import_module("rawpy")
    except ImportError:
        raise ValueError(
            "it is a camera's raw file, which is developed by rawpy: pip install 'deconv-toolkit[raw]'"
        ) from None
