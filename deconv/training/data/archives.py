"""Containers of arrays that data sets come in, read without running anything they may hold."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["read_npz", "read_pickled_arrays"]


def read_npz(path: Path, *choices: Sequence[str]) -> list[np.ndarray]:
    """The arrays of an npz file, by the first of several lists of names that it holds."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            names = next((names for names in choices if set(names) <= set(archive.files)), None)
            if names is None:
                wanted = " or ".join(", ".join(names) for names in choices)
                raise KeyError(f"holds {', '.join(archive.files) or 'nothing'}; expected {wanted}")
            return [archive[name] for name in names]
    except KeyError as error:
        raise ValueError(f"{path}: {error.args[0]}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not an npz file, or damaged ({error})") from None


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that knows arrays and plain containers, and can call nothing else."""

    _ALLOWED = ("_reconstruct", "ndarray", "dtype")

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in self._ALLOWED:
            # Where the name lived has changed between versions of NumPy.
            return _rebuild if name == "_reconstruct" else getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return _as_bytes
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")


def _rebuild(kind: type, shape: tuple, code: bytes) -> np.ndarray:
    """The empty array that a pickled one fills afterwards."""
    return np.ndarray.__new__(np.ndarray, shape, np.dtype(code.decode()))


def _as_bytes(text: str, encoding: str) -> bytes:
    return text.encode("latin-1")


def read_pickled_arrays(path: Path) -> Any:
    """What Python 2 pickled: containers, text as bytes, and NumPy arrays; anything else is refused."""
    try:
        return _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(f"{path}: damaged, or not a file of arrays ({error})") from None
