"""What a solve by strips is compiled for: the struct of the same name in `kernels/strip_shape.cuh`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .kernel_shape import KernelShape

__all__ = ["StripShape"]


@dataclass(frozen=True)
class StripShape(KernelShape):
    FILES: ClassVar[tuple[str, ...]] = (
        "tap_order.cuh",
        "strip_shape.cuh",
        "kernel.cuh",
        "matrices.cuh",
        "hand_over.cuh",
        "prepare_strip.cu",
        "solve_strip.cu",
    )
    KERNELS: ClassVar[tuple[str, ...]] = ("prepare_strip", "solve_strip")
    PREPARE_THREADS: ClassVar[int] = 256

    channels: int
    above: int
    left: int
    right: int
    outputs: int
    shares: int
    warps: int
    cluster: int

    @property
    def pixel(self) -> int:
        return -(-self.channels // 4) * 4

    @property
    def parts(self) -> int:
        return -(-self.channels // self.outputs)

    @property
    def lanes(self) -> int:
        return self.parts * self.shares

    @property
    def threads(self) -> int:
        return 32 * (self.warps + (self.cluster > 1))

    @property
    def table(self) -> int:
        return (1 + self.taps) * self.channels**2

    @property
    def prepare_shared_bytes(self) -> int:
        return 8 * 3 * self.channels**2 + 4 * self.table + 4

    def solve_shared_bytes(self, strip_rows: int, pitch: int) -> int:
        pixels = (self.above + strip_rows) * pitch * self.pixel
        return 4 * (pixels + -(-self.table // 2) * 2) + 8 * 3 * self.channels**2 + 4

    def tap(self, number: int) -> tuple[int, int]:
        """Rows up and columns to the left of the tap that is taken as the n-th."""
        above_last = 2 * self.left + self.right
        nearest = (self.left > 0) + (self.above > 0)
        if number < nearest:
            tap = 0 if number == 0 and self.left > 0 else above_last
        else:
            tap = number - nearest + (self.left > 0)
            tap += self.above > 0 and tap >= above_last
        if tap < self.left:
            return 0, tap + 1
        up, back = divmod(tap - self.left, self.left + 1 + self.right)
        return 1 + up, self.left - back
