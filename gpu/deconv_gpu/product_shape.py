"""What a solve by matrix products is compiled for: the struct of the same name in `kernels/product_shape.cuh`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from .kernel_shape import KernelShape

__all__ = ["ProductShape"]


@dataclass(frozen=True)
class ProductShape(KernelShape):
    FILES: ClassVar[tuple[str, ...]] = (
        "tap_order.cuh",
        "product_shape.cuh",
        "kernel.cuh",
        "hand_over.cuh",
        "prepare_product.cu",
        "solve_product.cu",
    )
    KERNELS: ClassVar[tuple[str, ...]] = ("prepare_product", "solve_product")
    ROWS: ClassVar[int] = 8
    COLUMNS: ClassVar[int] = 16

    channels: int
    above: int
    left: int
    right: int
    warps: int
    cluster: int

    @property
    def pixel(self) -> int:
        return 4 * (-(-self.channels // 4) | 1)

    @property
    def table(self) -> int:
        return (1 + self.taps) * self.channels**2

    @property
    def slices(self) -> int:
        return -(-self.channels // self.COLUMNS)

    @property
    def products(self) -> int:
        """Of a warp in a step, for each block of outputs."""
        nearest = (self.left > 0) + (self.above > 0)
        entries = nearest * self.channels, (self.taps + 1 - nearest) * self.channels
        return sum(ceil(ceil(each / 8) / self.warps) for each in entries)

    @property
    def blocks_of_outputs(self) -> int:
        return -(-self.channels // 16)

    @property
    def registers(self) -> int:
        """Of a lane, about."""
        addresses = 1 if self.channels % 8 == 0 else 2
        return self.products * (8 * self.blocks_of_outputs + addresses) + 4 * self.blocks_of_outputs + 18

    @property
    def prepare_shared_bytes(self) -> int:
        c, n = self.channels, self.COLUMNS
        return 8 * 2 * c * n + 4 * (3 * c * (c | 1) + c * n + 2 * c) + 4 * c

    def solve_shared_bytes(self, pitch: int) -> int:
        pixels = (self.above + self.ROWS) * pitch * self.pixel
        return 4 * (pixels + self.warps * self.channels * self.ROWS)
