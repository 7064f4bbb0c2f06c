"""The line that says what was done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from deconv.imaging.files import Picture

__all__ = ["closing_line"]


def closing_line(
    source: Path, target: Path, picture: Picture, result: Tensor, done: list[str], seconds: float
) -> str:
    """``in.png -> out.png: 512 x 512 grey, 8 bits; ...; 0.31 s``."""
    before, after = (" x ".join(map(str, shape)) for shape in (picture.pixels.shape[:2], result.shape[-2:]))
    size = before if before == after else f"{before} -> {after}"
    kind = "grey" if picture.pixels.ndim == 2 else "colour"
    if picture.alpha is not None:
        kind += " with opacity"
    depth = f"{8 * picture.pixels.dtype.itemsize} bits"
    return f"{source} -> {target}: " + "; ".join([f"{size} {kind}, {depth}", *done, f"{seconds:.2f} s"])
