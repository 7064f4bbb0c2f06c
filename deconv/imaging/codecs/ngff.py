"""What OME-Zarr says about an image (the next-generation file format, NGFF): axes, scales, units, channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..picture import Volume, VoxelSize

__all__ = ["Scale", "attributes_of", "images_in", "read_image_notes"]

_VERSIONS = ("0.4", "0.5")

# Units as NGFF writes them, and as `VoxelSize` and OME's XML do.
_LENGTHS = {
    "meter": "m",
    "centimeter": "cm",
    "millimeter": "mm",
    "micrometer": "um",
    "nanometer": "nm",
    "angstrom": "angstrom",
    "picometer": "pm",
}
_TIMES = {"hour": "h", "minute": "min", "second": "s", "millisecond": "ms", "microsecond": "\u00b5s"}

_TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}


@dataclass(frozen=True)
class Scale:
    """From voxels to places, along each axis.

    Attributes
    ----------
    sizes : tuple of float
        Of a voxel.
    origin : tuple of float
        Where the first voxel is.
    """

    sizes: tuple[float, ...]
    origin: tuple[float, ...]

    @classmethod
    def of(cls, volume: Volume) -> Scale:
        """That of a stack, 1 along the axes of which it says nothing."""
        voxel = volume.voxel or VoxelSize()
        x, y = voxel.resolution or (1.0, 1.0)
        known = {"Z": voxel.spacing or 1.0, "Y": 1 / y, "X": 1 / x, "T": volume.notes.get("TimeIncrement", 1.0)}
        origin = volume.notes.get("origin", {})
        sizes = tuple(float(known.get(axis, 1.0)) for axis in volume.axes)
        return cls(sizes, tuple(float(origin.get(axis, 0.0)) for axis in volume.axes))

    def coarser(self, factors: Sequence[int]) -> Scale:
        """That of blocks of so many voxels, the first of which has its middle behind that of the first voxel."""
        sizes = tuple(size * f for size, f in zip(self.sizes, factors, strict=True))
        middle = [(f - 1) / 2 * size for size, f in zip(self.sizes, factors, strict=True)]
        return Scale(sizes, tuple(o + m for o, m in zip(self.origin, middle, strict=True)))

    def transformations(self) -> list[dict[str, Any]]:
        """As they are written."""
        said: list[dict[str, Any]] = [{"type": "scale", "scale": list(self.sizes)}]
        return [*said, {"type": "translation", "translation": list(self.origin)}] if any(self.origin) else said


def images_in(attributes: Mapping[str, Any], groups: Sequence[str]) -> list[str]:
    """Where the images of a Zarr group are: in itself, or in groups that are numbered, as Bio-Formats writes series."""
    said = attributes.get("ome", attributes)
    if "multiscales" in said:
        return [""]
    if "plate" in said or "well" in said:
        raise ValueError("it is a plate of wells; expected the path of one field in it, such as PLATE.ome.zarr/A/1/0")
    series = sorted((name for name in groups if name.isdecimal()), key=int)
    if not series:
        raise ValueError("it is a Zarr group without an image; expected OME-Zarr, whose attributes say multiscales")
    return series


def read_image_notes(attributes: Mapping[str, Any]) -> tuple[list[str], str, dict[str, Any]]:
    """The names of the arrays, the largest first, the axes, and the attributes of `Volume` beside its values."""
    said = attributes.get("ome", attributes)
    image = said["multiscales"][0]
    version = str(said.get("version") if "ome" in attributes else image.get("version", "0.4"))
    if version not in _VERSIONS:
        raise ValueError(f"it is OME-Zarr {version}; expected {' or '.join(_VERSIONS)}")
    axes = "".join(str(axis["name"]).upper() for axis in image["axes"])
    if len(set(axes)) != len(axes) or not set(axes) <= set(_TYPES) or not axes.endswith("YX"):
        names = ", ".join(str(axis["name"]) for axis in image["axes"])
        raise ValueError(f"its axes are {names}; expected some of t, c and z before y and x")
    units = {letter: axis.get("unit") for letter, axis in zip(axes, image["axes"], strict=True)}
    largest = image["datasets"][0]
    sizes, origin = [1.0] * len(axes), [0.0] * len(axes)
    for step in [*largest["coordinateTransformations"], *image.get("coordinateTransformations", ())]:
        factors, shift = step.get("scale", [1.0] * len(axes)), step.get("translation", [0.0] * len(axes))
        sizes = [s * f for s, f in zip(sizes, factors, strict=True)]
        origin = [o * f + d for o, f, d in zip(origin, factors, shift, strict=True)]
    known = dict(zip(axes, sizes, strict=True))
    notes: dict[str, Any] = {"version": version, "name": image.get("name"), "omero": said.get("omero")}
    notes["origin"] = dict(zip(axes, origin, strict=True))
    if units.get("T") in _TIMES:
        notes |= {"TimeIncrement": known["T"], "TimeIncrementUnit": _TIMES[units["T"]]}
    labels = [str(channel.get("label", "")) for channel in (said.get("omero") or {}).get("channels", ())]
    channels = tuple(labels) if all(labels) and "C" in axes else ()
    described = {"voxel": _voxel(known, units), "channels": channels, "program": "ome-zarr", "notes": notes}
    return [dataset["path"] for dataset in image["datasets"]], axes, described


def attributes_of(
    volume: Volume, version: str, scales: Sequence[Scale], spans: Mapping[int, tuple[float, float]]
) -> dict[str, Any]:
    """The attributes of the group of an image.

    Parameters
    ----------
    volume : Volume
        Whose axes, units and channels are written.
    version : str
        Of OME-Zarr.
    scales : sequence of Scale
        Of the arrays called 0, 1, ...
    spans : mapping
        Least and greatest value of each channel, which viewers show it by.
    """
    unit = (volume.voxel or VoxelSize()).unit
    units = dict.fromkeys("ZYX", _inverse(_LENGTHS).get(unit or "", unit))
    units["T"] = _inverse(_TIMES).get(volume.notes.get("TimeIncrementUnit", ""))
    axes = [
        {"name": axis.lower(), "type": _TYPES[axis]} | ({"unit": units[axis]} if units.get(axis) else {})
        for axis in volume.axes
    ]
    image: dict[str, Any] = {
        "name": volume.notes.get("name") or "restored",
        "axes": axes,
        "datasets": [
            {"path": str(number), "coordinateTransformations": scale.transformations()}
            for number, scale in enumerate(scales)
        ],
    }
    if len(scales) > 1:
        image["type"] = "mean"
    said: dict[str, Any] = {"multiscales": [image]}
    if omero := _omero(volume, spans):
        said["omero"] = omero
    if version == "0.4":
        image["version"] = version
        return said
    return {"ome": {"version": version, **said}}


def _omero(volume: Volume, spans: Mapping[int, tuple[float, float]]) -> dict[str, Any] | None:
    """How to show the channels: as the file that the image was made of says, but for the range of values."""
    given = volume.notes.get("omero") or {}
    channels = [dict(channel) for channel in given.get("channels", ())]
    if not channels and "C" in volume.axes:
        channels = [{"label": name, "color": "FFFFFF", "active": True} for name in volume.channels]
    if not channels:
        return None
    for number, channel in enumerate(channels):
        low, high = spans.get(number, (0.0, 1.0))
        channel["window"] = {"min": low, "max": high, "start": low, "end": high}
    return {**given, "channels": channels}


def _voxel(sizes: Mapping[str, float], units: Mapping[str, Any]) -> VoxelSize:
    """All in the unit of the columns."""
    unit = _LENGTHS.get(units.get("X") or "", units.get("X"))
    metres = VoxelSize(1.0, unit=unit).sizes()[0]

    def size(axis: str) -> float:
        other = VoxelSize(1.0, unit=_LENGTHS.get(units.get(axis) or "", units.get(axis))).sizes()[0]
        return sizes[axis] * (other / metres if metres and other else 1.0)

    return VoxelSize(size("Z") if "Z" in sizes else None, (1 / size("X"), 1 / size("Y")), unit)


def _inverse(table: Mapping[str, str]) -> dict[str, str]:
    return {value: key for key, value in table.items()}
