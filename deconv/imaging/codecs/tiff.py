"""TIFF, of integers and floats: one picture, or the slices of a volume."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import tifffile

from ..picture import Picture
from .pillow import decode_with_pillow

__all__ = ["decode", "decode_volume", "encode", "encode_volume", "holds_volume"]


def decode(data: bytes) -> Picture:
    """The one picture in a TIFF file."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page, series = file.pages.first, file.series[0]
            axes = series.axes.replace("S", "")
            if axes != "YX":
                raise ValueError(f"it holds a stack, {series.axes} of shape {series.shape}; expected one image")
            profile = page.iccprofile
            plain = page.photometric in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
            if not plain or page.bitspersample == 1:
                return replace(decode_with_pillow(data, "TIFF"), profile=profile)
            orientation = int(page.tags.valueof(274, 1))
            try:
                array = series.asarray()
            except (ValueError, ImportError):  # a compression that tifffile leaves to an optional library
                from .opencv import decode_with_opencv

                return Picture.from_samples(decode_with_opencv(data), profile=profile)
            if series.axes.startswith("S"):
                array = np.moveaxis(array, 0, -1)
    except tifffile.TiffFileError as error:
        raise ValueError(f"the image is damaged ({error})") from None
    return Picture.from_samples(_upright(array, orientation), profile=profile)


def encode(picture: Picture) -> bytes:
    """A TIFF file of one picture, not compressed."""
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        picture.samples(),
        photometric="rgb" if picture.pixels.ndim == 3 else "minisblack",
        planarconfig="contig" if picture.pixels.ndim == 3 or picture.alpha is not None else None,
        extrasamples=None if picture.alpha is None else ["unassalpha"],
        iccprofile=picture.profile,
        metadata=None,
    )
    return stream.getvalue()


def holds_volume(data: bytes) -> bool:
    """Whether the file has more than one slice of grey values."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return len(file.pages) > 1 and "S" not in file.series[0].axes
    except (tifffile.TiffFileError, IndexError):
        return False


def decode_volume(data: bytes) -> np.ndarray:
    """The slices of grey values in a TIFF file."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            kinds = {(series.shape, series.dtype, series.axes) for series in file.series}
            if len(kinds) > 1:
                raise ValueError(f"it holds images of {len(kinds)} different kinds; expected one stack")
            if "S" in file.series[0].axes:
                raise ValueError("it holds colours; expected slices of grey values")
            parts = [series.asarray() for series in file.series]
    except tifffile.TiffFileError as error:
        raise ValueError(f"the image is damaged ({error})") from None
    array = parts[0] if len(parts) == 1 else np.stack(parts)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def encode_volume(volume: np.ndarray) -> bytes:
    """A TIFF file of slices, not compressed."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, volume, photometric="minisblack", metadata={"axes": "ZYX"})
    return stream.getvalue()


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the orientation (tag 274): on which sides the first row and the first column are shown."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array
