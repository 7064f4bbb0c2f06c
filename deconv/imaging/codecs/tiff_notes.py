"""What ImageJ and OME write into a TIFF about its stack: voxel size, names of channels, colours, times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import tifffile

from ..picture import Volume, VoxelSize

__all__ = ["imagej_notes", "notes_of", "ome_notes"]

# What is true of a restored stack as well; the range of display is not.
_IMAGEJ = ("Info", "Labels", "LUTs", "finterval", "fps", "loop", "mode", "xorigin", "yorigin", "zorigin", "tunit")
_OME = ("TimeIncrement", "TimeIncrementUnit")

# How they write a micrometre.
_MICROMETRES = ("\u00b5m", "\u03bcm", "\\u00B5m", "micron", "um")


def notes_of(file: tifffile.TiffFile, number: int) -> dict[str, Any]:
    """The attributes of `Volume` beside values and axes, of the series of this number."""
    if file.is_imagej:
        return _of_imagej(file)
    if file.ome_metadata:
        return _of_ome(str(file.ome_metadata), number)
    return {}


def imagej_notes(volume: Volume) -> tuple[dict[str, Any], tuple[float, float] | None]:
    """What `tifffile.imwrite` takes as metadata and resolution of an ImageJ stack."""
    voxel = volume.voxel or VoxelSize()
    known = {key: volume.notes[key] for key in _IMAGEJ if key in volume.notes}
    said = {"axes": volume.axes, "spacing": voxel.spacing, "unit": voxel.unit, **known}
    if volume.channels and "Labels" not in said:
        names = "\n".join(f"Channel {number}: {name}" for number, name in enumerate(volume.channels, 1))
        said["Info"] = said.get("Info") or names
    return {key: value for key, value in said.items() if value is not None}, voxel.resolution


def ome_notes(volume: Volume) -> dict[str, Any]:
    """What `tifffile.imwrite` takes as metadata of an OME file."""
    voxel = volume.voxel or VoxelSize()
    unit = "\u00b5m" if voxel.unit == "um" else voxel.unit
    x, y = voxel.resolution or (None, None)
    said: dict[str, Any] = {"axes": volume.axes, **{key: volume.notes[key] for key in _OME if key in volume.notes}}
    for axis, size in (("X", x and 1 / x), ("Y", y and 1 / y), ("Z", voxel.spacing)):
        if size:
            said[f"PhysicalSize{axis}"] = size
            if unit:
                said[f"PhysicalSize{axis}Unit"] = unit
    if volume.channels and "C" in volume.axes:
        said["Channel"] = {"Name": list(volume.channels)}
    return said


def _of_imagej(file: tifffile.TiffFile) -> dict[str, Any]:
    said: Mapping[str, Any] = file.imagej_metadata or {}
    page = file.pages.first
    resolution = page.resolution if 282 in page.tags else None
    spacing, unit = said.get("spacing"), said.get("unit")
    known = spacing or unit or resolution
    voxel = VoxelSize(spacing, resolution, "um" if unit in _MICROMETRES else unit) if known else None
    return {"voxel": voxel, "program": "imagej", "notes": {key: said[key] for key in _IMAGEJ if key in said}}


def _of_ome(text: str, number: int) -> dict[str, Any]:
    known: dict[str, Any] = {"program": "ome"}
    try:
        root = ElementTree.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", text.strip()))
    except ElementTree.ParseError:
        return known
    images = root.findall("{*}Image")
    pixels = images[number].find("{*}Pixels") if number < len(images) else None
    if pixels is None:
        return known
    sizes = {axis: _number(pixels.get(f"PhysicalSize{axis}")) for axis in "XYZ"}
    unit = pixels.get("PhysicalSizeXUnit", "um")
    resolution = (1 / sizes["X"], 1 / sizes["Y"]) if sizes["X"] and sizes["Y"] else None
    if sizes["Z"] or resolution:
        known["voxel"] = VoxelSize(sizes["Z"], resolution, "um" if unit in _MICROMETRES else unit)
    names = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    if names and all(names):
        known["channels"] = tuple(names)
    increment = _number(pixels.get("TimeIncrement"))
    if increment:
        known["notes"] = {"TimeIncrement": increment, "TimeIncrementUnit": pixels.get("TimeIncrementUnit", "s")}
    return known


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else 0.0
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
