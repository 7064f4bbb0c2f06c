"""Portable bitmaps, greymaps and pixmaps (PBM, PGM, PPM), read only, of up to 16 bits."""

from __future__ import annotations

import re

import numpy as np

from ..decoding import check_size
from ..picture import Picture

__all__ = ["decode"]

_GAP = rb"(?:\s|#[^\n]*\n)+"
_TEXT, _BITMAPS, _PIXMAPS = (1, 2, 3), (1, 4), (3, 6)


def decode(data: bytes, max_pixels: int) -> Picture:
    """The picture in the file; values are scaled so that the file's own white is that of 8 or 16 bits."""
    kind = data[1] - ord("0")
    wanted = 2 if kind in _BITMAPS else 3
    head = re.match(rb"P\d" + wanted * (_GAP + rb"(\d{1,9})") + rb"\s", data)
    if head is None:
        raise ValueError("the image is damaged (it has no size)")
    width, height, white = (*map(int, head.groups()), 1)[:3]
    check_size((height, width), max_pixels)
    if not 1 <= white <= 65535:
        raise ValueError(f"its white is {white}; expected 1 to 65535")
    body, shape = data[head.end() :], (height, width, 3) if kind in _PIXMAPS else (height, width)
    if kind == 4:
        rows = np.frombuffer(body, np.uint8, height * ((width + 7) // 8)).reshape(height, -1)
        values = np.unpackbits(rows, axis=1, count=width)
    elif kind in _TEXT:
        text = re.sub(rb"#[^\n]*", b" ", body)
        words = re.findall(rb"[01]", text) if kind == 1 else text.split()
        values = np.array(words[: int(np.prod(shape))]).astype(np.int64)
    else:
        values = np.frombuffer(body, ">u2" if white > 255 else np.uint8, int(np.prod(shape)))
    values = values.reshape(shape).astype(np.float64)
    if kind in _BITMAPS:
        values = 1 - values  # ink is 1 there
    top = 65535 if white > 255 else 255
    pixels = np.rint(values.clip(0, white) * (top / white))
    return Picture.from_samples(pixels.astype(np.uint16 if top > 255 else np.uint8), opacity=False)
