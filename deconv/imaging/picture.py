"""What image files hold: a picture, or the slices of a volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["ALLOWED_PIXELS", "Picture", "Volume", "VoxelSize", "as_pixels"]

ALLOWED_PIXELS = "8, 16 or 32 bits, integers or floats"

# Values without a white that their dtype would tell become floats, unchanged.
_FLOATS = {"float16": "float32", "int8": "float32", "int16": "float32", "int32": "float64", "uint32": "float64"}

# What units of length are in metres.
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "angstrom": 1e-10, "pm": 1e-12}

# Colour spaces of ICC profiles that are not those of grey or RGB pixels.
_OTHER_SPACES = (b"CMYK", b"CMY ", b"Lab ", b"XYZ ", b"YCbr", b"HSV ", b"HLS ")


@dataclass(frozen=True)
class Picture:
    """The pixels of an image file, and what goes with them.

    Attributes
    ----------
    pixels : ndarray
        `H x W` or `H x W x 3`, uint8, uint16, float32 or float64, upright.
    alpha : ndarray or None
        Opacity, `H x W` of the same dtype; the colours are not multiplied by it.
    profile : bytes or None
        The ICC colour profile.
    exif : bytes or None
        What the camera or the scanner wrote, its orientation already applied.
    dpi : tuple of float or None
        Pixels per inch along x and y.
    loss : tuple of float
        Root mean square error that lossy compression or a palette has left, of each channel or of all alike, as a
        fraction of full scale: measured in a JPEG and in a palette, elsewhere what is usual. Empty without such.
    coder : str
        What has left the loss, in words.
    quality : int or None
        Of a JPEG, 1 to 100: that of the usual tables with the same mean step.
    header : object or None
        Of a FITS file, as astropy has it. Where there is one, NaN stands for no value.
    raw : bool
        Developed from a camera's raw file: blurred in linear light for certain.
    part : str
        Which of several pictures in the file it is, in words.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    loss: tuple[float, ...] = ()
    coder: str = ""
    quality: int | None = None
    header: Any = None
    raw: bool = False
    part: str = ""

    @classmethod
    def from_samples(
        cls,
        array: np.ndarray,
        *,
        opacity: bool,
        profile: bytes | None = None,
        exif: bytes | None = None,
        dpi: tuple[float, float] | None = None,
    ) -> Picture:
        """The picture of an array `H x W` or `H x W x samples`.

        Parameters
        ----------
        array : ndarray
            As a decoder gives it; bool becomes uint8, and integers that no white belongs to become floats.
        opacity : bool
            The file says that the last of two or four samples is opacity.
        profile, exif, dpi : optional
            The attributes of the same name; a profile of another colour space is left out.

        Returns
        -------
        Picture

        Raises
        ------
        ValueError
            Other dtypes, other shapes, no pixels.
        """
        array, alpha = as_pixels(array), None
        if array.ndim == 3 and array.shape[2] in (2, 4):
            if not opacity:
                raise ValueError(
                    f"it has {array.shape[2]} samples a pixel and does not say that the last is opacity; expected one "
                    "grey or colour image"
                )
            array, alpha = array[..., :-1], np.ascontiguousarray(array[..., -1])
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[..., 0]
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
            stack = "; of a stack --channel-axis says which axis counts channels" if array.ndim > 2 else ""
            raise ValueError(f"its shape is {array.shape}; expected one grey or colour image{stack}")
        if profile is not None and profile[16:20] in _OTHER_SPACES:
            profile = None
        return cls(np.ascontiguousarray(array), alpha, profile, exif, dpi)

    def samples(self) -> np.ndarray:
        """Pixels and opacity in one array, as `from_samples` takes them."""
        return self.pixels if self.alpha is None else np.dstack([self.pixels, self.alpha])


@dataclass(frozen=True)
class VoxelSize:
    """How far apart the voxels of a volume are, as microscopes write it.

    Attributes
    ----------
    spacing : float or None
        From one slice to the next, in `unit`.
    resolution : tuple of float or None
        Pixels per `unit` along x and y.
    unit : str or None
        ``"um"``, say.
    """

    spacing: float | None = None
    resolution: tuple[float, float] | None = None
    unit: str | None = None

    def sizes(self) -> tuple[float | None, float | None, float | None]:
        """Of a voxel along z, y and x in metres; None where it is not known."""
        unit = _METRES.get(self.unit or "")
        x, y = self.resolution or (None, None)
        z = self.spacing
        return (unit and z and z * unit, unit and y and unit / y, unit and x and unit / x)


@dataclass(frozen=True)
class Volume:
    """The slices of a file.

    Attributes
    ----------
    values : ndarray
        With as many axes as `axes` has letters, uint8, uint16, float32 or float64.
    voxel : VoxelSize or None
        What the file says of their distances.
    axes : str
        What the axes count, in their order: times T, channels C, slices Z, rows Y and columns X; the last two are YX.
    channels : tuple of str
        Names of the channels, if the file says any.
    program : str
        Whose TIFF it is: ``"imagej"``, ``"ome"`` or nobody's in particular.
    notes : mapping
        What else such a file says, as its program writes it: colours, labels, the time between frames.
    header : object or None
        Of a FITS file, as astropy has it. Where there is one, NaN stands for no value.
    part : str
        Which of several images in the file it is, in words.
    """

    values: np.ndarray
    voxel: VoxelSize | None = None
    axes: str = "ZYX"
    channels: tuple[str, ...] = ()
    program: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)
    header: Any = None
    part: str = ""


def as_pixels(array: np.ndarray) -> np.ndarray:
    """The array in the machine's byte order, as uint8, uint16, float32 or float64."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    array = array.astype(_FLOATS.get(array.dtype.name, array.dtype), copy=False)
    if array.dtype.name not in ("uint8", "uint16", "float32", "float64"):
        raise ValueError(f"its values are of dtype {array.dtype}; allowed are {ALLOWED_PIXELS}")
    return array
