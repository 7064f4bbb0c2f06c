"""How many bits a file's values have: the choice among what its format holds, and the rounding on the way into it."""

from __future__ import annotations

import numpy as np

from .formats import Format

__all__ = ["choose_depth", "fractions", "to_depth"]


def choose_depth(format: Format, bits: int | None, wanted: str) -> str:
    """The dtype to store: as asked, else as `wanted` where the format holds it, else the format's first."""
    if bits is None:
        return wanted if wanted in format.dtypes else format.dtypes[0]
    depth = {8: "uint8", 16: "uint16", 32: "float32", 64: "float64"}.get(bits)
    if depth not in format.dtypes:
        held = sorted({np.dtype(name).itemsize * 8 for name in format.dtypes})
        raise ValueError(f"bits: a {format.suffixes[0]} file holds {', '.join(map(str, held))} per value, given {bits}")
    return depth


def to_depth(values: np.ndarray, depth: str) -> np.ndarray:
    """Values whose full scale is 1 in the dtype `depth`: integers are rounded and saturate, floats stay."""
    if depth.startswith("float"):
        return values.astype(depth)
    top = np.iinfo(depth).max
    return np.clip(np.rint(values * top), 0, top).astype(depth)


def fractions(values: np.ndarray) -> np.ndarray:
    """Integers as fractions of their full scale, floats as they are."""
    return values / np.float64(np.iinfo(values.dtype).max) if values.dtype.kind == "u" else values
