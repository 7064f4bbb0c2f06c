"""Psfs in MATLAB files."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

import numpy as np

__all__ = ["psf_from_matlab"]

_NAMES = ("psf", "kernel", "blur", "k", "h", "f", "filt", "x")


def psf_from_matlab(data: bytes) -> np.ndarray:
    """The psf `(kh, kw)` or `(kd, kh, kw)` in the bytes of a ``.mat`` file; of version 7.3 by h5py, if installed.

    The array called ``psf``, ``kernel`` or the like, else the only one. Of three axes the last one counts slices, as in
    MATLAB's own deconvolution: ``psf(:, :, k)`` is a slice. Cells and structs are refused with what they hold.
    """
    variables = _hdf5(data) if data[:10] == b"MATLAB 7.3" else _version_5(data)
    variables = {name: value for name, value in variables.items() if not name.startswith("__")}
    arrays = {name: value for name, value in variables.items() if _is_numbers(value)}
    named = [name for wanted in _NAMES for name in arrays if name.lower() == wanted]
    if not named and len(arrays) != 1:
        found = ", ".join(filter(None, (_described(name, value) for name, value in sorted(variables.items()))))
        raise ValueError(f"expected one array, or one called psf; it holds {found or 'none'}")
    name = named[0] if named else next(iter(arrays))
    psf = arrays[name]
    return psf if psf.ndim == 2 else np.moveaxis(psf, 2, 0)


def _version_5(data: bytes) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        return loadmat(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception:  # scipy raises whatever the bytes lead it to
        raise ValueError("it is not a MATLAB file of version 5 to 7") from None


def _hdf5(data: bytes) -> dict[str, Any]:
    """The arrays of a file of version 7.3, which is HDF5 with the axes in reverse."""
    try:
        h5py = import_module("h5py")
    except ImportError:
        raise ValueError("MATLAB files of version 7.3 ask for the package h5py; or save it with -v7") from None
    with h5py.File(io.BytesIO(data)) as file:
        arrays = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
        return {name: item[()].T for name, item in arrays.items() if item.dtype.kind in "fiub"}


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.ndim in (2, 3) and value.size > 1


def _described(name: str, value: Any) -> str:
    """What to call a variable that a psf may be in."""
    if isinstance(value, np.ndarray) and value.dtype.names:
        return f"{name} (a struct; save the psf in it as an array)"
    if isinstance(value, np.ndarray) and value.dtype == object:
        return f"{name} (a cell array of {value.size}; save the psf that is meant as an array)"
    return name if _is_numbers(value) else ""
