"""How many bits a file's values have: what each format can hold, and the rounding on the way into it."""

from __future__ import annotations

import numpy as np

__all__ = ["DEPTHS", "choose_depth", "fractions", "to_depth"]

# What each format can hold, the natural one for floats first.
DEPTHS: dict[str, tuple[str, ...]] = {
    ".png": ("uint8", "uint16"),
    ".jpg": ("uint8",),
    ".jpeg": ("uint8",),
    ".tif": ("float32", "uint8", "uint16", "float64"),
    ".tiff": ("float32", "uint8", "uint16", "float64"),
    ".npy": ("float32", "uint8", "uint16", "float64"),
}


def choose_depth(suffix: str, bits: int | None, wanted: str) -> str:
    """The dtype to store: as asked, else as `wanted` where the format holds it, else the format's first."""
    if bits is None:
        return wanted if wanted in DEPTHS[suffix] else DEPTHS[suffix][0]
    depth = {8: "uint8", 16: "uint16", 32: "float32", 64: "float64"}.get(bits)
    if depth not in DEPTHS[suffix]:
        held = ", ".join(sorted({str(np.dtype(name).itemsize * 8) for name in DEPTHS[suffix]}, key=int))
        raise ValueError(f"bits: a {suffix} file holds {held} per value, given {bits}")
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
