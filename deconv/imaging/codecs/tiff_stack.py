"""Stacks in one TIFF file, ImageJ's and OME's included: slices, channels and times."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import tifffile

from ..decoding import check_size
from ..picture import Volume, as_pixels
from .tiff_notes import imagej_notes, notes_of, ome_notes

__all__ = [
    "axes_of",
    "decode_volume",
    "encode_volume",
    "holds_volume",
    "missing_decoder",
    "number_of_black",
    "opened",
    "series_of",
]

_IMAGEJ_ORDER = "TZCYX"


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
    """Whether the file has more than one slice, channel or time of grey values."""
    with opened(data) as file:
        series = file.series[0]
        return "S" not in series.axes and (series.axes != "YX" or len(_alike(file)) > 1)


def decode_volume(data: bytes, max_pixels: int, part: int | None = None) -> Volume:
    """The stack of grey values in a TIFF file: its first series, or that of the given number."""
    with opened(data) as file:
        series = series_of(file, part)
        number, page = file.series.index(series), series.keyframe
        if "S" in series.axes:
            raise ValueError("it holds colours; expected slices of grey values")
        alike = _alike(file) if part is None and series.axes == "YX" else [series]
        check_size((len(alike), *series.shape), max_pixels)
        try:
            parts = [one.asarray() for one in alike]
        except (ValueError, ImportError):  # a compression that tifffile leaves to an optional library
            if len(file.series) > len(alike):
                raise missing_decoder(page) from None
            parts = [_without_imagecodecs(data, page).reshape(series.shape)]
        values = as_pixels(parts[0] if len(parts) == 1 else np.stack(parts))
        if (black := number_of_black(page)) is not None:
            values = values.dtype.type(black) - values
        axes = axes_of(series.axes if len(alike) == 1 else "IYX", values.shape)
        others = len(file.series) - len(alike)
        words = f"series {number} of {len(file.series)}" if others else ""
        return Volume(values, axes=axes, part=words, **notes_of(file, number))


def encode_volume(volume: Volume) -> bytes:
    """A TIFF file of a stack, not compressed: OME's, or ImageJ's where the one it was made of was, or where there is a
    voxel size to say."""
    stream, values = io.BytesIO(), volume.values
    if volume.program == "ome":
        metadata = ome_notes(volume)
        tifffile.imwrite(stream, values, ome=True, photometric="minisblack", metadata=metadata)
    elif (volume.program or volume.voxel) and values.dtype != np.float64:  # which ImageJ does not have
        order = [volume.axes.index(axis) for axis in _IMAGEJ_ORDER if axis in volume.axes]
        volume = replace(volume, axes="".join(volume.axes[i] for i in order))
        metadata, resolution = imagej_notes(volume)
        values = np.ascontiguousarray(values.transpose(order))
        tifffile.imwrite(stream, values, imagej=True, resolution=resolution, metadata=metadata)
    else:
        tifffile.imwrite(stream, values, photometric="minisblack", metadata={"axes": volume.axes})
    return stream.getvalue()


def series_of(file: tifffile.TiffFile, part: int | None) -> tifffile.TiffPageSeries:
    """The series of this number, the first by default."""
    number = 0 if part is None else part
    if not 0 <= number < len(file.series):
        raise ValueError(f"series {part} is not there; it holds {len(file.series)}, from 0 on")
    return file.series[number]


def _alike(file: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """The first series, and where it is one page all others of the same kind: slices written one by one."""
    first = file.series[0]
    if first.axes != "YX":
        return [first]
    kinds = {(one.shape, one.dtype, one.axes) for one in file.series}
    return list(file.series) if len(kinds) == 1 else [first]


def axes_of(given: str, shape: tuple[int, ...]) -> str:
    """The axes by the letters of `Volume`; the one that a file does not name counts slices."""
    unnamed = [axis for axis in given if axis not in "TCZYX"]
    axes = given if not unnamed else given.replace(unnamed[0], "Z")
    if len(unnamed) > 1 or len(set(axes)) != len(axes) or axes[-2:] != "YX":
        raise ValueError(f"its axes are {given} of shape {shape}; expected some of T, C and Z before YX")
    return axes


def number_of_black(page: tifffile.TiffPage) -> int | None:
    """Where 0 is white, the number that stands for black, of values as `as_pixels` has them; of unsigned ones only."""
    bits = page.bitspersample
    if page.photometric != tifffile.PHOTOMETRIC.MINISWHITE or page.dtype is None or page.dtype.kind not in "bu":
        return None
    return None if bits > 16 else 255 if bits == 1 else 2**bits - 1


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
