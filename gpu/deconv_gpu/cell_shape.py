"""What a kernel is compiled for: the struct of the same name in `kernels/cell.cuh`, as Python sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .kernel_shape import KernelShape

__all__ = ["CellShape"]


@dataclass(frozen=True)
class CellShape(KernelShape):
    FILES: ClassVar[tuple[str, ...]] = ("cell.cuh", "prepare.cu", "solve.cu")
    KERNELS: ClassVar[tuple[str, ...]] = ("prepare", "solve")
    cluster: ClassVar[int] = 1

    scalar: str
    channels: int
    cell_rows: int
    cell_columns: int
    above: int
    left: int
    right: int
    split: int
    outputs: int
    rows_per_thread: int
    held: bool

    @property
    def itemsize(self) -> int:
        return 4 if self.scalar == "float" else 8

    @property
    def unknowns(self) -> int:
        return self.channels * self.cell_rows * self.cell_columns

    @property
    def parts(self) -> int:
        return -(-self.unknowns // self.outputs)

    @property
    def reach(self) -> int:
        return self.left + self.slope * self.above

    @property
    def table(self) -> int:
        return 1 + -(-self.taps // self.split) * self.split

    @property
    def line(self) -> int:
        return 16 // self.itemsize

    @property
    def cell_stride(self) -> int:
        vector = self.line if self.unknowns % self.line == 0 else 2 if self.unknowns % 2 == 0 else 1
        return (-(-self.parts * self.outputs // vector) | 1) * vector

    @property
    def matrix(self) -> int:
        return (-(-self.parts * self.unknowns * self.outputs // self.line) | 1) * self.line

    @property
    def prepare_shared_bytes(self) -> int:
        square = self.channels**2
        pixels = self.cell_rows * self.cell_columns
        doubles = square + (pixels * square if pixels > 1 else 0) + self.unknowns**2 + 2 * self.channels
        return 8 * doubles + 4 * self.channels

    def solve_shared_bytes(self, strip_rows: int, chunk: int) -> int:
        integers = 4 + -(-self.table // 4) * 4
        ring = (self.reach + chunk) * ((self.above + strip_rows) | 1) * self.cell_stride
        tables = 1 if self.held else self.table
        return 4 * integers + self.itemsize * (tables * self.matrix + ring)
