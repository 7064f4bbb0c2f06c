"""The slices of a volume in one TIFF file, ImageJ's and OME's included, and how far apart they are."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tifffile

from ..decoding import check_size
from ..picture import Volume, VoxelSize, as_pixels

__all__ = ["decode_volume", "encode_volume", "holds_volume", "missing_decoder", "opened"]

# What files call their axes besides Y and X: slices, or nothing in particular; and what are no slices.
_SLICES = ("ZYX", "IYX", "QYX", "YX")
_OTHERS = {"C": "channels", "T": "times"}


@contextmanager
def opened(data: bytes) -> Iterator[tifffile.TiffFile]:
    """The file, if all of it is there."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            _check_complete(file, data)
            yield file
    except tifffile.TiffFileError as error:
        raise ValueError(f"the image is damaged ({error})") from None


def holds_volume(data: bytes) -> bool:
    """Whether the file has more than one slice of grey values."""
    with opened(data) as file:
        return len(file.pages) > 1 and "S" not in file.series[0].axes


def decode_volume(data: bytes, max_pixels: int) -> Volume:
    """The slices of grey values in a TIFF file."""
    with opened(data) as file:
        kinds = {(series.shape, series.dtype, series.axes) for series in file.series}
        if len(kinds) > 1:
            raise ValueError(f"it holds images of {len(kinds)} different kinds; expected one stack")
        series, page = file.series[0], file.pages.first
        if "S" in series.axes:
            raise ValueError("it holds colours; expected slices of grey values")
        if named := [word for axis, word in _OTHERS.items() if axis in series.axes]:
            raise ValueError(
                f"its axes are {series.axes}: {' and '.join(named)}, not slices only; expected ZYX, a file for each"
            )
        check_size((len(file.series), *series.shape), max_pixels)
        try:
            parts = [part.asarray() for part in file.series]
        except (ValueError, ImportError):  # a compression that tifffile leaves to an optional library
            parts = [_without_imagecodecs(data, page).reshape(series.shape)]
        values = as_pixels(parts[0] if len(parts) == 1 else np.stack(parts))
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and values.dtype.kind == "u":
            values = np.iinfo(values.dtype).max - values
        if series.axes not in _SLICES and values.ndim == 3:
            raise ValueError(f"its axes are {series.axes}; expected ZYX")
        return Volume(values, _voxel_size(file))


def encode_volume(volume: Volume) -> bytes:
    """A TIFF file of slices, not compressed; ImageJ's where there is a voxel size to say."""
    stream, voxel = io.BytesIO(), volume.voxel
    if voxel is None or volume.values.dtype == np.float64:  # which ImageJ does not have
        tifffile.imwrite(stream, volume.values, photometric="minisblack", metadata={"axes": "ZYX"})
    else:
        said = {"axes": "ZYX", "spacing": voxel.spacing, "unit": voxel.unit}
        tifffile.imwrite(
            stream,
            volume.values,
            imagej=True,
            resolution=voxel.resolution,
            metadata={key: value for key, value in said.items() if value is not None},
        )
    return stream.getvalue()


def missing_decoder(page: tifffile.TiffPage) -> ValueError:
    """What to say where a page could not be read for want of a decoder, or because it is damaged."""
    if page.compression == tifffile.COMPRESSION.NONE:
        return ValueError("the image is damaged")
    name = getattr(page.compression, "name", page.compression)
    return ValueError(f"its compression, {name}, asks for the package imagecodecs, or it is damaged")


def _without_imagecodecs(data: bytes, page: tifffile.TiffPage) -> np.ndarray:
    from .opencv import decode_pages_with_opencv

    try:
        return np.stack(decode_pages_with_opencv(data))
    except Exception:
        raise missing_decoder(page) from None


def _voxel_size(file: tifffile.TiffFile) -> VoxelSize | None:
    page = file.pages.first
    if file.is_imagej:
        said = file.imagej_metadata or {}
        resolution = page.resolution if 282 in page.tags else None
        spacing, unit = said.get("spacing"), said.get("unit")
        return VoxelSize(spacing, resolution, unit) if spacing or unit or resolution else None
    if file.ome_metadata:
        text = str(file.ome_metadata)
        size = {axis: re.search(rf'PhysicalSize{axis}="([0-9.eE+-]+)"', text) for axis in "XYZ"}
        x, y, z = (None if found is None else float(found[1]) for found in size.values())
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', text)
        word = "um" if unit is None or unit[1] in ("µm", "\u03bcm") else unit[1]
        resolution = (1 / x, 1 / y) if x and y else None
        return VoxelSize(z, resolution, word) if z or resolution else None
    return None


def _check_complete(file: tifffile.TiffFile, data: bytes) -> None:
    """Refuse a file that was cut short: tifffile takes the pages that are left for all there are."""
    missing = ValueError("the file is damaged: it is cut short")
    order, large = file.byteorder, file.is_bigtiff
    place = struct.unpack_from(order + ("Q" if large else "I"), data, 8 if large else 4)[0]
    seen = set()
    while place:
        try:
            count = struct.unpack_from(order + ("Q" if large else "H"), data, place)[0]
            end = place + (8 + 20 * count if large else 2 + 12 * count)
            following = struct.unpack_from(order + ("Q" if large else "I"), data, end)[0]
        except struct.error:
            raise missing from None
        if place in seen:
            raise ValueError("the file is damaged: its pages go round in a circle")
        seen.add(place)
        place = following
    page = file.pages.first
    ends = [start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if ends and max(ends) > len(data):
        raise missing
    said = (file.imagej_metadata or {}).get("images", 1) if file.is_imagej else 1
    if len(file.pages) < said and page.dataoffsets[0] + said * page.nbytes > len(data):
        raise missing
