"""What a solve by rows is compiled for: the struct of the same name in `kernels/row_shape.cuh`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .kernel_shape import KernelShape

__all__ = ["RowShape"]


@dataclass(frozen=True)
class RowShape(KernelShape):
    FILES: ClassVar[tuple[str, ...]] = ("row_shape.cuh", "kernel.cuh", "matrices.cuh", "hand_over.cuh", "solve_rows.cu")
    KERNELS: ClassVar[tuple[str, ...]] = ("solve_rows",)

    channels: int
    above: int
    left: int
    right: int
    rows: int
    near: int
    helpers: int
    interval: int
    cluster: int

    @property
    def lanes(self) -> int:
        return self.rows * self.channels

    @property
    def shares(self) -> int:
        return 32 // self.lanes

    @property
    def far_of_a_lane(self) -> int:
        return -(-(self.above + 1 - self.near) // (self.helpers * self.shares)) if self.helpers else 0

    @property
    def near_taps(self) -> int:
        return self.left + (self.near - 1) * self.across

    @property
    def far_taps(self) -> int:
        return self.far_of_a_lane * self.across

    @property
    def registers(self) -> int:
        """Of a lane, about."""
        held = max(self.near_taps, self.far_taps)
        return self.channels * (held + 2 * (self.near - 1) + self.far_of_a_lane) + self.across + 40

    @property
    def targets(self) -> int:
        return -(-self.above // self.rows)

    def shared_bytes(self, width: int) -> int:
        steps = width + self.slope * (self.rows - 1 + self.above) + self.interval + 1
        place = (self.above + self.rows) * self.channels | 1
        table = (1 + self.taps) * self.channels**2
        parts = self.helpers * 2 * self.interval * self.lanes
        return 8 * 3 * self.channels**2 + 4 * (table + 1 + self.targets + parts + steps * place)
