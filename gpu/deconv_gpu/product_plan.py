"""How a solve by matrix products is cut: images with many channels, or kernels too large for strips."""

from __future__ import annotations

from ctypes import c_int32
from dataclasses import dataclass
from functools import lru_cache

from .launch import Launch
from .operands import Operands
from .product_shape import ProductShape
from .solve_shape import Device, SolveShape, refusal_of_clusters, registers_of_a_lane

__all__ = ["ProductPlan", "plan_products"]

_CHANNELS = range(4, 65)
_WARPS = range(4, 17)
_CLUSTER = 8  # blocks: more are not to be had everywhere

# For the choice of the number of warps, in cycles of a processor.
_PRODUCT = 48  # three dependent ones
_PART = 10  # of a warp's sums


@dataclass(frozen=True)
class ProductPlan:
    """The sizes of the launches.

    Attributes
    ----------
    product : ProductShape
        What the kernels are compiled for.
    shape : SolveShape
        Of the solve.
    pitch : int
        Pixels from row to row in shared memory.
    prepare_threads : int
        Of a block that makes columns of a matrix.
    """

    product: ProductShape
    shape: SolveShape
    pitch: int
    prepare_threads: int = 256

    @property
    def shared_bytes(self) -> int:
        return self.product.solve_shared_bytes(self.pitch)

    @property
    def compiled_for(self) -> ProductShape:
        return self.product

    @property
    def workspace_bytes(self) -> int:
        return 4 * self.shape.groups * self.product.table

    def launches(self, operands: Operands) -> tuple[Launch, ...]:
        product, shape, tables = self.product, self.shape, operands.in_workspace(0)
        made = shape.groups * (1 + product.taps) * product.slices
        sizes = map(c_int32, (shape.groups, shape.height, shape.width, self.pitch))
        arguments = *operands.image, *operands.solution, *sizes, tables
        blocks, threads = shape.images * product.cluster, 32 * product.warps
        prepare = (*operands.kernel, tables)
        return (
            Launch("prepare_product", product, made, self.prepare_threads, product.prepare_shared_bytes, prepare),
            Launch("solve_product", product, blocks, threads, self.shared_bytes, arguments),
        )


@lru_cache(maxsize=512)
def plan_products(shape: SolveShape, device: Device) -> ProductPlan | str:
    """The plan for a solve, or the reason why there is none."""
    if refusal := refusal_of_clusters(shape, device, _CHANNELS, _CLUSTER):
        return refusal
    above, left, right = shape.sees
    strips = -(-shape.height // ProductShape.ROWS)
    if strips > _CLUSTER or above > ProductShape.ROWS:
        return f"is for images and kernels of up to {_CLUSTER * ProductShape.ROWS} and {1 + ProductShape.ROWS} rows"
    cluster = 1 << (strips - 1).bit_length()
    shapes = [ProductShape(shape.channels, above, left, right, warps, cluster) for warps in _WARPS]
    allowed = [each for each in shapes if each.registers <= registers_of_a_lane(each.warps)]
    if not allowed:
        return f"{shapes[0].taps} taps of {shape.channels} channels do not fit into registers"
    product = min(allowed, key=lambda each: _PRODUCT * each.products * each.blocks_of_outputs + _PART * each.warps)
    pitch = shape.width + left + 1
    pitch += (pitch - product.slope + 1) % 2  # rows lie an odd number of vectors apart
    planned = ProductPlan(product, shape, pitch)
    needed = max(planned.shared_bytes, product.prepare_shared_bytes)
    if needed > device.shared_bytes:
        return f"needs {needed} bytes of shared memory in a block, the device has {device.shared_bytes}"
    return planned
