"""The line that says what was done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .inputs import Source

__all__ = ["summary_line"]


def summary_line(source: Source, target: Path, result: Tensor, done: list[str], seconds: float) -> str:
    """``in.png -> out.png: 512 x 512 grey, 8 bits; ...; 0.31 s``."""
    before, after = (" x ".join(map(str, shape)) for shape in (source.batch.shape[2:], result.shape[2:]))
    size = before if before == after else f"{before} -> {after}"
    return f"{source.path} -> {target}: " + "; ".join([f"{size} {source.kind}", *done, f"{seconds:.2f} s"])
