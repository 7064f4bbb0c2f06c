"""FITS, the files of telescopes: images and cubes, read and written by astropy with their header.

Arrays have the rows in the order of the file, as ``astropy.io.fits.getdata`` does: the first is the lowest on the sky.
Values have no white; integers become floats, scaled as the header says, and what it calls blank becomes NaN.
"""

from __future__ import annotations

import gzip
import io
from importlib import import_module
from typing import Any

import numpy as np

from ..decoding import check_size
from ..picture import Picture, Volume

__all__ = ["decode", "decode_volume", "encode", "encode_volume", "holds_volume"]

# What describes the stored numbers and not the image.
_STORAGE = ("BSCALE", "BZERO", "BLANK", "DATAMIN", "DATAMAX", "CHECKSUM", "DATASUM", "EXTNAME", "EXTVER", "INHERIT")


def decode(data: bytes, max_pixels: int, part: int | None = None) -> Picture:
    """The image in the file: in its first HDU that has one, or in that of the given number."""
    values, header = _read(data, max_pixels, part)
    if values.ndim == 3 and len(values) == 3 and str(header.get("CTYPE3", "")).strip() == "RGB":
        values = np.ascontiguousarray(np.moveaxis(values, 0, 2))
    elif values.ndim != 2:
        raise ValueError(f"it holds a cube of shape {values.shape}; expected one image")
    return Picture(values, header=header)


def encode(picture: Picture) -> bytes:
    """A FITS file of one image with the header of the one that it was made of."""
    colour = picture.pixels.ndim == 3
    header = _header(picture.header)
    if colour:
        header["CTYPE3"] = "RGB"
    return _written(np.moveaxis(picture.pixels, 2, 0) if colour else picture.pixels, header)


def holds_volume(data: bytes) -> bool:
    """Whether its first image has more than two axes of more than one pixel."""
    with _opened(data) as hdus:
        hdu = _chosen(hdus, None)
        return len(_without_ones(hdu.shape)) > 2 and str(hdu.header.get("CTYPE3", "")).strip() != "RGB"


def decode_volume(data: bytes, max_pixels: int, part: int | None = None) -> Volume:
    """The cube in the file, or the image as one slice."""
    values, header = _read(data, max_pixels, part)
    if values.ndim > 3:
        raise ValueError(f"its shape is {values.shape}; expected a cube")
    return Volume(values, axes="ZYX"[-values.ndim :], header=header)


def encode_volume(volume: Volume) -> bytes:
    """A FITS file of a cube."""
    return _written(volume.values, _header(volume.header))


def _fits() -> Any:
    try:
        return import_module("astropy.io.fits")
    except ImportError:
        raise ValueError("FITS asks for the package astropy (pip install astropy)") from None


def _opened(data: bytes) -> Any:
    """Its HDUs; their values are unpacked when they are asked for, so after the size that their header declares."""
    fits = _fits()
    if not data.startswith(b"\x1f\x8b"):
        return fits.open(io.BytesIO(data), memmap=False)
    unpacked = gzip.GzipFile(fileobj=io.BytesIO(data))
    if not unpacked.peek(6).startswith(b"SIMPLE"):
        raise ValueError("it is a gzip of something else than FITS; unpack it")
    return fits.open(unpacked, memmap=False)


def _chosen(hdus: Any, part: int | None) -> Any:
    """The HDU that is asked for, or the first that has an image."""
    images = [number for number, hdu in enumerate(hdus) if hdu.is_image and len(_without_ones(hdu.shape)) >= 2]
    if part is None and images:
        return hdus[images[0]]
    if part in images:
        return hdus[part]
    found = f"images are in {', '.join(map(str, images))}" if images else "none of its HDUs has an image"
    raise ValueError(found if part is None else f"HDU {part} has no image; {found}")


def _read(data: bytes, max_pixels: int, part: int | None) -> tuple[np.ndarray, Any]:
    with _opened(data) as hdus:
        hdu = _chosen(hdus, part)
        check_size(hdu.shape, max_pixels)
        values = np.asarray(hdu.data)
        header = hdu.header.copy()
    exact = values.dtype.itemsize <= 2 or (values.dtype.kind, values.dtype.itemsize) == ("f", 4)
    values = values.astype(np.float32 if exact else np.float64)
    return values.reshape(_without_ones(values.shape)), header


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of one pixel before the last two, which radio telescopes write for polarisation and frequency."""
    return (*(n for n in shape[:-2] if n != 1), *shape[-2:])


def _header(given: Any) -> Any:
    header = _fits().Header() if given is None else given.copy(strip=True)
    for key in _STORAGE:
        header.remove(key, ignore_missing=True, remove_all=True)
    return header


def _written(values: np.ndarray, header: Any) -> bytes:
    stream = io.BytesIO()
    _fits().PrimaryHDU(values, header).writeto(stream, output_verify="silentfix")
    return stream.getvalue()
