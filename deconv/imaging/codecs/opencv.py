"""Reading through OpenCV, for the files of 16 bits that Pillow would cut down to 8."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

__all__ = ["decode_pages_with_opencv", "decode_with_opencv"]


def decode_with_opencv(data: bytes) -> np.ndarray:
    """The samples in a file's bytes, `H x W` or `H x W x samples`, colours in the order red, green, blue."""
    with _without_stderr():
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError("the image is damaged")
    return array if array.ndim == 2 else array[..., [2, 1, 0, 3][: array.shape[2]]]


def decode_pages_with_opencv(data: bytes) -> list[np.ndarray]:
    """The grey pages of a file, each `H x W`."""
    with _without_stderr():
        ok, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if not ok:
        raise ValueError("the image is damaged")
    return list(pages)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Keep what C libraries print about damaged files off the terminal: they know the file descriptor only."""
    try:
        saved = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
