"""How a solve by rows is cut: images with one to three channels, also under large kernels."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import c_int32
from dataclasses import dataclass
from functools import lru_cache

from .launch import Launch
from .operands import Operands
from .row_shape import RowShape
from .solve_shape import Device, SolveShape, refusal_of_clusters

__all__ = ["RowPlan", "plan_rows", "row_shapes"]

_CHANNELS = range(1, 4)
_REGISTERS = 240  # of a lane
_CLUSTER = 8  # blocks: more are not to be had everywhere
_HELPERS = 7  # warps
_INTERVAL = 8  # steps, at most

# For the model of the time, in cycles of a processor.
_STEP = 45  # of latency in a step: a shuffle, two sums, a store
_BARRIER = 40
_HANDOVER = 600  # from a strip to the next one


@dataclass(frozen=True)
class RowPlan:
    """The sizes of the launch.

    Attributes
    ----------
    row : RowShape
        What the kernel is compiled for.
    shape : SolveShape
        Of the solve.
    threads : int
        Of a block: those that solve and help, and more to load and store.
    """

    row: RowShape
    shape: SolveShape
    threads: int = 256

    @property
    def strips(self) -> int:
        return -(-self.shape.height // self.row.rows)

    @property
    def shared_bytes(self) -> int:
        return self.row.shared_bytes(self.shape.width)

    @property
    def compiled_for(self) -> RowShape:
        return self.row

    @property
    def workspace_bytes(self) -> int:
        return 0

    def launches(self, operands: Operands) -> tuple[Launch, ...]:
        shape = self.shape
        sizes = map(c_int32, (shape.groups, shape.height, shape.width, self.strips))
        arguments = *operands.image, *operands.solution, *sizes, *operands.kernel
        blocks = shape.images * self.row.cluster
        return (Launch("solve_rows", self.row, blocks, self.threads, self.shared_bytes, arguments),)


@lru_cache(maxsize=512)
def plan_rows(shape: SolveShape, device: Device) -> RowPlan | str:
    """The plan for a solve, or the reason why there is none.

    High strips are few, and hand over seldom; low ones leave the sums of a large kernel to more lanes. Of all that fit,
    the one that is quickest by a model of the time is taken.
    """
    if refusal := refusal_of_clusters(shape, device, _CHANNELS, _CLUSTER):
        return refusal
    candidates = [RowPlan(row, shape) for row in row_shapes(shape)]
    if not candidates:
        return f"a kernel of {shape.kernel_height} x {shape.kernel_width} does not fit into registers"
    least = min(candidate.shared_bytes for candidate in candidates)
    if least > device.shared_bytes:
        return f"needs {least} bytes of shared memory in a block, the device has {device.shared_bytes}"
    fitting = [candidate for candidate in candidates if candidate.shared_bytes <= device.shared_bytes]
    return min(fitting, key=_cycles)


def row_shapes(shape: SolveShape) -> Iterator[RowShape]:
    """What the kernel could be compiled for."""
    above, left, right = shape.sees
    for rows in (32 // shape.channels, 16 // shape.channels, 8 // shape.channels):
        strips = -(-shape.height // rows)
        cluster = min(_CLUSTER, 1 << (strips - 1).bit_length())
        lanes = rows * shape.channels
        shared = 32 // lanes == 1 or 32 % lanes == 0  # so that lanes which share a sum exchange it
        for near in range(2, above + 1) if shared else ():
            meets = ((right + 1) * (near - 1) + 1) // 2
            interval = min(_INTERVAL, 1 << (meets.bit_length() - 1))
            for helpers in range(1, _HELPERS + 1):
                row = RowShape(shape.channels, above, left, right, rows, near, helpers, interval, cluster)
                if row.registers <= _REGISTERS and row.targets < max(cluster, 2):
                    yield row
        row = RowShape(shape.channels, above, left, right, rows, above + 1, 0, _INTERVAL, cluster)
        if row.registers <= _REGISTERS and row.targets < max(cluster, 2):
            yield row


def _cycles(plan: RowPlan) -> float:
    """A model of the time a plan takes. Its constants are estimates; they need to be right within a factor of two."""
    row = plan.row
    solving = row.channels * (row.near_taps + 4 * (row.near - 1)) + 2 * row.helpers + 25
    helping = row.channels * (row.far_taps + 3 * row.far_of_a_lane) + 5 * row.shares.bit_length() + 15
    issued = (solving + row.helpers * helping) / 4  # by each quarter of a processor
    meeting = (_BARRIER if row.helpers else 0) / row.interval
    step = max(_STEP, solving, helping if row.helpers else 0, issued) + meeting
    strip = (plan.shape.width + row.slope * row.rows) * step
    lag = (row.slope * row.rows + row.interval) * step + _HANDOVER
    rounds = -(-plan.strips // row.cluster)
    return max(strip + (plan.strips - 1) * lag, rounds * strip)
