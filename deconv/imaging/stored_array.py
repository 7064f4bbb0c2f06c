"""Arrays that stay on disk: read and written piece by piece, never held as a whole."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from .picture import as_pixels

__all__ = ["StoredArray", "scratch_array"]


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, one value after the other, of which an index reads or writes a part.

    The file is mapped for the length of an access only, so that what was read does not stay in memory.

    Attributes
    ----------
    path : path-like
        The file.
    shape : tuple of int
        Of the array.
    stored : dtype
        As it is in the file.
    offset : int
        Bytes before it.
    black : int or None
        Of integers of which 0 is white, the number that stands for black.
    """

    path: str | os.PathLike
    shape: tuple[int, ...]
    stored: np.dtype
    offset: int = 0
    black: int | None = None

    @property
    def dtype(self) -> np.dtype:
        """Of what is read: uint8, uint16, float32 or float64."""
        return as_pixels(np.empty(0, self.stored)).dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        values = as_pixels(np.array(self._mapped("r")[index]))
        return values if self.black is None else values.dtype.type(self.black) - values

    def __setitem__(self, index: Any, values: Any) -> None:
        self._mapped("r+")[index] = values

    def _mapped(self, mode: Any) -> np.memmap:
        return np.memmap(self.path, self.stored, mode, self.offset, self.shape)


@contextmanager
def scratch_array(folder: str | os.PathLike, shape: tuple[int, ...], dtype: Any) -> Iterator[StoredArray]:
    """An array of zeros in a temporary file of a folder, gone at the end."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".deconv-", suffix=".part") as file:
        file.truncate(max(math.prod(shape) * np.dtype(dtype).itemsize, 1))
        yield StoredArray(file.name, shape, np.dtype(dtype))
