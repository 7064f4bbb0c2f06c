"""How many bits a file's values have: the choice among what its format holds, and the rounding on the way into it."""

from __future__ import annotations

import numpy as np

from .formats import Format

__all__ = ["choose_depth", "fractions", "lost_to_white", "to_depth"]


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
    return np.rint(np.clip(values, 0, 1) * top).astype(depth)


def lost_to_white(values: np.ndarray) -> tuple[float, float]:
    """What integers would lose of values whose full scale is 1: the share of values above, and that of the light."""
    above = np.clip(values, 1, None) - 1
    light = float(np.clip(values, 0, None).sum(dtype=np.float64))
    return float((above > 0).mean()), float(above.sum(dtype=np.float64)) / light if light else 0.0


def fractions(values: np.ndarray) -> np.ndarray:
    """Integers as fractions of their full scale, floats as they are."""
    return values / np.float64(np.iinfo(values.dtype).max) if values.dtype.kind == "u" else values
