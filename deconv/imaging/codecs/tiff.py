"""TIFF, of integers and floats: one picture, or the slices of a volume."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import tifffile
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from ..decoding import check_size
from ..picture import Picture, as_pixels
from . import raw
from .exif import exif_of_tiff, with_exif
from .pillow import decode_with_pillow
from .tiff_stack import (
    decode_volume,
    encode_volume,
    holds_volume,
    missing_decoder,
    number_of_black,
    opened,
    series_of,
)
from .tiff_stored import locate_volume, write_slices

__all__ = ["decode", "decode_volume", "encode", "encode_volume", "holds_volume", "locate_volume", "write_slices"]

# What tifffile's arrays are the pixels of; palettes, inks and luminance are left to Pillow.
_COLOURS = {PHOTOMETRIC.MINISBLACK: 1, PHOTOMETRIC.MINISWHITE: 1, PHOTOMETRIC.RGB: 3}

# Of the JPEG that a TIFF may hold, of qualities 75 to 95 on blurred photographs: 0.0069 to 0.0046.
_JPEG, _LOSS = (COMPRESSION.JPEG, COMPRESSION.OJPEG, COMPRESSION.ALT_JPEG), 0.006

# Up to so many bytes of pixels a file is no BigTIFF for certain.
_CLASSIC = 2**31

_PER_INCH = {2: 1.0, 3: 2.54}  # by the resolution's unit, inch or centimetre


def decode(data: bytes, max_pixels: int, part: int | None = None) -> Picture:
    """The one picture in a TIFF file: its first series, or that of the given number."""
    with opened(data) as file:
        series = series_of(file, part)
        page = file.pages.first if part is None else series.keyframe
        if _is_cameras(page) or raw.is_raw(data, page.tags):
            return raw.decode(data, max_pixels)
        if series.axes.replace("S", "") != "YX":
            raise ValueError(f"it holds a stack, {series.axes} of shape {series.shape}; expected one image")
        check_size((page.imagelength, page.imagewidth), max_pixels)
        profile, dpi = page.iccprofile, _dpi(page)
        jpeg = page.compression in _JPEG
        exif = exif_of_tiff(data)
        if page.photometric not in _COLOURS or page.bitspersample == 1:
            if part:
                raise ValueError(f"series {part} has pixels of kind {int(page.photometric)}; expected grey or RGB ones")
            picture = replace(decode_with_pillow(data, "TIFF", max_pixels), dpi=dpi, exif=exif)
            return _after_jpeg(picture) if jpeg else picture
        try:
            array = series.asarray()
        except (ValueError, ImportError):  # a compression that tifffile leaves to an optional library
            array = _without_imagecodecs(data, page)
        else:
            array = np.moveaxis(array, 0, -1) if series.axes.startswith("S") else array
            array = _upright(_of_8_or_16_bits(array, page.bitspersample), int(page.tags.valueof(274, 1)))
        samples, opacity = _opacity(as_pixels(array), page)
    if number_of_black(page) is not None:
        samples = _inverted(samples)
    picture = Picture.from_samples(samples, opacity=opacity, profile=profile, exif=exif, dpi=dpi)
    return _after_jpeg(picture) if jpeg else picture


def encode(picture: Picture) -> bytes:
    """A TIFF file of one picture, not compressed."""
    stream = io.BytesIO()
    # The places of the camera's notes are numbers of 32 bits.
    exif = None if picture.pixels.nbytes >= _CLASSIC else picture.exif
    tifffile.imwrite(
        stream,
        picture.samples(),
        byteorder="<",
        photometric="rgb" if picture.pixels.ndim == 3 else "minisblack",
        planarconfig="contig" if picture.pixels.ndim == 3 or picture.alpha is not None else None,
        extrasamples=None if picture.alpha is None else ["unassalpha"],
        iccprofile=picture.profile,
        resolution=picture.dpi,
        resolutionunit=None if picture.dpi is None else "INCH",
        metadata=None,
    )
    return stream.getvalue() if exif is None else with_exif(stream.getvalue(), exif)


def _after_jpeg(picture: Picture) -> Picture:
    return replace(picture, loss=(_LOSS,), coder="JPEG")


def _is_cameras(page: tifffile.TiffPage) -> bool:
    """A camera's raw file is a TIFF whose first picture is a thumbnail, its measurement one of the others."""
    return page.photometric == PHOTOMETRIC.CFA or bool(page.is_reduced and page.subifds)


def _without_imagecodecs(data: bytes, page: tifffile.TiffPage) -> np.ndarray:
    from .opencv import decode_with_opencv

    try:
        return decode_with_opencv(data)  # upright already
    except Exception:
        raise missing_decoder(page) from None


def _of_8_or_16_bits(array: np.ndarray, bits: int) -> np.ndarray:
    """Integers of 2 to 15 bits scaled so that their white is that of 8 or 16, as OpenCV does."""
    if array.dtype.kind != "u" or bits == 8 or bits >= 16:
        return array
    return np.rint(array * (np.iinfo(array.dtype).max / (2**bits - 1))).astype(array.dtype)


def _opacity(array: np.ndarray, page: tifffile.TiffPage) -> tuple[np.ndarray, bool]:
    """The samples, colours not multiplied by the opacity, and whether the last one is opacity."""
    extra = page.extrasamples[0] if len(page.extrasamples) == 1 else None
    if array.ndim == 2 or extra not in (EXTRASAMPLE.UNASSALPHA, EXTRASAMPLE.ASSOCALPHA):
        return array, False
    if extra == EXTRASAMPLE.ASSOCALPHA:
        top = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1.0
        colours, alpha = array[..., :-1].astype(np.float64), array[..., -1:]
        colours = np.divide(colours * top, alpha, out=np.zeros_like(colours), where=alpha > 0)
        colours = np.rint(colours.clip(0, top)) if array.dtype.kind == "u" else colours
        array = np.dstack([colours.astype(array.dtype), alpha])
    return array, True


def _inverted(samples: np.ndarray) -> np.ndarray:
    """Grey values where the file has 0 for white; an opacity stays."""
    white = np.iinfo(samples.dtype).max
    return white - samples if samples.ndim == 2 else np.dstack([white - samples[..., 0], samples[..., 1:]])


def _dpi(page: tifffile.TiffPage) -> tuple[float, float] | None:
    per_inch = _PER_INCH.get(int(page.tags.valueof(296, 2)))
    if per_inch is None or 282 not in page.tags or 283 not in page.tags:
        return None
    x, y = (np.divide(*page.tags.valueof(code)) * per_inch for code in (282, 283))
    return (float(x), float(y)) if np.isfinite([x, y]).all() and min(x, y) > 1 else None


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the orientation (tag 274): on which sides the first row and the first column are shown."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array
