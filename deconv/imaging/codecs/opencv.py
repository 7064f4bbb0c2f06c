"""Reading through OpenCV, for the files of 16 bits that Pillow would cut down to 8."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["decode_with_opencv"]


def decode_with_opencv(data: bytes) -> np.ndarray:
    """The samples in a file's bytes, `H x W` or `H x W x samples`, colours in the order red, green, blue."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError("the image is damaged")
    return array if array.ndim == 2 else array[..., [2, 1, 0, 3][: array.shape[2]]]
