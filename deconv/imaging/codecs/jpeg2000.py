"""JPEG 2000, read only, of up to 16 bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..picture import Picture
from .pillow import decode_with_pillow

__all__ = ["decode"]

# Where the SIZ marker of the codestream has the number of components and their depths.
_SIZ, _COMPONENTS, _DEPTHS = b"\xff\x4f\xff\x51", 38, 40

# Where the COD marker has the kind of wavelets.
_COD, _WAVELETS = b"\xff\x52", 13

# Of blurred photographs, 8 to 30 times smaller than without compression: 0.003 to 0.012.
_LOSS = 0.006


def decode(data: bytes, max_pixels: int) -> Picture:
    """The picture in the file; values of 9 to 16 bits are scaled to 16."""
    picture = decode_with_pillow(data, "JPEG2000", max_pixels)
    if _irreversible(data):
        picture = replace(picture, loss=(_LOSS,), coder="JPEG 2000")
    bits = _bits(data)
    if bits <= 8:
        return picture
    if bits > 16:
        raise ValueError(f"its pixels have {bits} bits; JPEG 2000 is read with up to 16")
    from .opencv import decode_with_opencv

    array = decode_with_opencv(data)
    if bits < 16:
        array = np.rint(array * (65535 / (2**bits - 1))).astype(np.uint16)
    deep = Picture.from_samples(array, opacity=True)
    return replace(
        deep, profile=picture.profile, exif=picture.exif, dpi=picture.dpi, loss=picture.loss, coder=picture.coder
    )


def _irreversible(data: bytes) -> bool:
    """Whether it was coded by the wavelets that are not exactly invertible."""
    return data[data.find(_COD, data.find(_SIZ)) + _WAVELETS] == 0


def _bits(data: bytes) -> int:
    marker = data.find(_SIZ) + 2
    count = int.from_bytes(data[marker + _COMPONENTS : marker + _DEPTHS], "big")
    return max(1 + (depth & 0x7F) for depth in data[marker + _DEPTHS : marker + _DEPTHS + 3 * count : 3])
