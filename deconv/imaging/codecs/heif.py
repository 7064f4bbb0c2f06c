"""HEIC and other HEIF files, read only, by libheif; of up to 16 bits."""

from __future__ import annotations

import io
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from ..decoding import check_size
from ..picture import Picture

__all__ = ["decode"]

# Usual in the photographs of phones.
_LOSS = 0.005


def decode(data: bytes, max_pixels: int) -> Picture:
    """The main picture in the file, upright; values of 10 and 12 bits are scaled to 16."""
    library = _library()
    file = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    image = file[file.primary_index]
    check_size(image.size[::-1], max_pixels)
    library.set_orientation(image.info)  # libheif has turned it; what the notes say of it is taken out
    picture = Picture.from_samples(
        np.asarray(image),
        opacity=image.has_alpha,
        profile=image.info.get("icc_profile"),
        exif=image.info.get("exif"),
    )
    return replace(picture, loss=(_LOSS,), coder="HEIC")


def _library() -> Any:
    try:
        return import_module("pillow_heif")
    except ImportError:
        raise ValueError("HEIC is read by pillow-heif: pip install 'deconv-toolkit[heif]'") from None
