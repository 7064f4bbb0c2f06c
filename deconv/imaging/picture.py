"""What an image file holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ALLOWED_PIXELS", "Picture"]

ALLOWED_PIXELS = "8 or 16 bits without sign, and floats"


@dataclass(frozen=True)
class Picture:
    """The pixels of an image file, and what goes with them.

    Attributes
    ----------
    pixels : ndarray
        `H x W` or `H x W x 3`, uint8, uint16, float32 or float64, upright.
    alpha : ndarray or None
        Opacity, `H x W` of the same dtype.
    profile : bytes or None
        The ICC colour profile.
    exif : bytes or None
        What the camera wrote, its orientation already applied.
    loss : float
        Root mean square error that lossy compression leaves in a clean, blurred photograph, as a fraction of full
        scale; 0 without such compression.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    profile: bytes | None = None
    exif: bytes | None = None
    loss: float = 0.0

    @classmethod
    def from_samples(cls, array: np.ndarray, *, profile: bytes | None = None, exif: bytes | None = None) -> Picture:
        """The picture of an array `H x W` or `H x W x samples`: two and four samples end with the opacity.

        Parameters
        ----------
        array : ndarray
            As a decoder gives it; bool and float16 become uint8 and float32.
        profile, exif : bytes, optional
            The attributes of the same name.

        Returns
        -------
        Picture

        Raises
        ------
        ValueError
            Other dtypes, other shapes, no pixels.
        """
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if array.dtype == np.bool_:
            array = array.astype(np.uint8) * np.uint8(255)
        if array.dtype == np.float16:
            array = array.astype(np.float32)
        if array.dtype.name not in ("uint8", "uint16", "float32", "float64"):
            raise ValueError(f"its pixels are of dtype {array.dtype}; allowed are {ALLOWED_PIXELS}")
        alpha = None
        if array.ndim == 3 and array.shape[2] in (2, 4):
            array, alpha = array[..., :-1], np.ascontiguousarray(array[..., -1])
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[..., 0]
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
            raise ValueError(f"its shape is {array.shape}; expected one grey or colour image")
        return cls(np.ascontiguousarray(array), alpha, profile, exif)

    def samples(self) -> np.ndarray:
        """Pixels and opacity in one array, as `from_samples` takes them."""
        return self.pixels if self.alpha is None else np.dstack([self.pixels, self.alpha])
