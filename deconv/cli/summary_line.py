"""The line that says what was done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .source import Source

__all__ = ["summary_line"]


def summary_line(source: Source, target: Path, result: Tensor, done: list[str], seconds: float) -> str:
    """``in.png -> out.png: 640 x 480 grey, 8 bits; ...; 0.31 s``: width x height of pictures, the axes of stacks."""
    before, after = (_size(batch, picture=source.volume is None) for batch in (source.batch, result))
    size = before if before == after else f"{before} -> {after}"
    return f"{source.path} -> {target}: " + "; ".join([f"{size} {source.kind}", *done, f"{seconds:.2f} s"])


def _size(batch: Tensor, *, picture: bool) -> str:
    sides = batch.shape[2:]
    return " x ".join(map(str, reversed(sides) if picture else sides))
