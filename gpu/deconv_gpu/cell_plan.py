"""How a solve by cells is cut: all shapes, on all devices."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import c_double, c_int32
from dataclasses import dataclass
from functools import lru_cache

from .cell_shape import CellShape
from .launch import Launch
from .operands import Operands
from .solve_shape import Device, SolveShape

__all__ = ["MAX_THREADS", "CellPlan", "cells", "cut_cells", "plan_cells"]

MAX_THREADS = 512  # of a block that solves: leaves each of them 128 registers
PREPARE_THREADS = 256  # of a block that makes a matrix, at most

_CELL = 16  # unknowns of a cell, at most, where pixels are put together
_HELD_BYTES = 256  # registers for the taps of one thread

# For the model of the time, in cycles of a processor.
_STEP = 300  # of latency in a step: a barrier, two loads from shared memory, a sum across lanes
_CHUNK = 3000  # of latency in loading and storing a chunk
_PRODUCTS = 64  # that a processor forms and adds in a cycle: half of its peak


@dataclass(frozen=True)
class CellPlan:
    """The shape of the cells, and the sizes of the launches.

    Attributes
    ----------
    cell : CellShape
        What the kernels are compiled for.
    images : int
        Images times groups.
    strip_rows, strips : int
        Rows of cells that a block solves at a time, and strips of an image.
    chunk, chunks : int
        Steps between two looks at the image, and chunks of a strip.
    threads, blocks, shared_bytes : int
        Of the launch that solves.
    groups, height, width : int
        Channel groups, and pixels of an image.
    prepare_threads : int
        Of a block that makes a matrix.
    """

    cell: CellShape
    images: int
    strip_rows: int
    strips: int
    chunk: int
    chunks: int
    threads: int
    blocks: int
    shared_bytes: int
    groups: int
    height: int
    width: int
    prepare_threads: int

    @property
    def matrices(self) -> int:
        """Numbers in the table of matrices."""
        return self.groups * self.cell.table * self.cell.matrix

    @property
    def counters(self) -> int:
        return 1 + self.images * self.strips

    @property
    def compiled_for(self) -> CellShape:
        return self.cell

    @property
    def workspace_bytes(self) -> int:
        return self.matrices * self.cell.itemsize + 4 * self.counters

    def launches(self, operands: Operands) -> tuple[Launch, ...]:
        cell = self.cell
        matrices, counters = operands.in_workspace(0), operands.in_workspace(self.matrices * cell.itemsize)
        epsilon = c_double(2.0 ** (-23 if cell.itemsize == 4 else -52))
        prepare = *operands.kernel, epsilon, matrices, counters, c_int32(self.counters)
        solve = (
            *operands.image,
            *operands.solution,
            *map(c_int32, (self.images, self.groups, self.height, self.width)),
            matrices,
            counters,
            *map(c_int32, (self.strip_rows, self.strips, self.chunk, self.chunks)),
        )
        made = self.groups * cell.table
        return (
            Launch("prepare", cell, made, self.prepare_threads, cell.prepare_shared_bytes, prepare),
            Launch("solve", cell, self.blocks, self.threads, self.shared_bytes, solve),
        )


@lru_cache(maxsize=512)
def plan_cells(shape: SolveShape, device: Device) -> CellPlan | str:
    """The plan for a solve, or the reason why there is none.

    - *Cells.* With few channels, pixels are solved some at a time, by the dense inverse of the operator on a cell: the
      wavefront takes fewer steps, each of which has more to do.
    - *Strips.* Every strip but the first waits for the one above it, so high strips take fewer steps from the first
      pixel to the last; low ones keep more processors busy.
    - *Chunks.* Long ones cost less, short ones let the next strip start earlier.

    Of all that fit, the one that is quickest by a model of the time is taken.
    """
    tasks = shape.batch * shape.groups * shape.height
    if tasks >= 2**31 or shape.height * shape.width >= 2**31:
        return "more than 2^31 rows in the batch, or pixels in an image"
    allowed = [cell for cell in cells(shape, device) if cell.parts * cell.split <= device.threads]
    if not allowed:
        return f"{shape.channels} channels per group need more than {device.threads} threads in a block"
    candidates = [cut_cells(shape, device, cell, *sizes) for cell in allowed for sizes in _sizes(shape, device, cell)]

    def needed(candidate: CellPlan) -> int:
        return max(candidate.shared_bytes, candidate.cell.prepare_shared_bytes)

    fitting = [candidate for candidate in candidates if needed(candidate) <= device.shared_bytes]
    if not fitting:
        least = min(map(needed, candidates))
        return f"needs {least} bytes of shared memory in a block, the device has {device.shared_bytes}"
    return min(fitting, key=lambda candidate: _cycles(candidate, device))


def _sizes(shape: SolveShape, device: Device, cell: CellShape) -> Iterator[tuple[int, int]]:
    """Rows of a strip and steps of a chunk worth considering, the largest first."""
    rows = -(-shape.height // cell.cell_rows)
    most = device.threads // (cell.parts * cell.split)  # threads for the rows
    threads = min(most, -(-rows // cell.rows_per_thread))
    while True:
        strips = -(-rows // (threads * cell.rows_per_thread))
        even = -(-rows // (strips * cell.rows_per_thread))  # the strips are of a size, or nearly so
        for chunk in (device.warp, device.warp // 2, device.warp // 4):
            yield even * cell.rows_per_thread, chunk
        if threads == 1:
            return
        threads //= 2


def cut_cells(shape: SolveShape, device: Device, cell: CellShape, strip_rows: int, chunk: int) -> CellPlan:
    """The plan for strips and chunks of a given size, whether it fits or not."""
    rows, columns = -(-shape.height // cell.cell_rows), -(-shape.width // cell.cell_columns)
    steps = columns + cell.slope * (strip_rows - 1)
    chunk = min(chunk, steps)
    images, strips = shape.images, -(-rows // strip_rows)
    shared_bytes = cell.solve_shared_bytes(strip_rows, chunk)
    lanes = cell.parts * cell.split * strip_rows // cell.rows_per_thread
    threads = -(-lanes // device.warp) * device.warp
    resident = min(device.shared_bytes_per_processor // (shared_bytes + 1024), device.threads_per_processor // threads)
    return CellPlan(
        cell=cell,
        groups=shape.groups,
        height=shape.height,
        width=shape.width,
        images=images,
        strip_rows=strip_rows,
        strips=strips,
        chunk=chunk,
        chunks=-(-steps // chunk),
        threads=threads,
        blocks=min(images * strips, device.processors * max(1, resident)),
        shared_bytes=shared_bytes,
        prepare_threads=min(PREPARE_THREADS, device.threads),
    )


def _cycles(plan: CellPlan, device: Device) -> float:
    """A model of the time a plan takes. Its constants are estimates; they need to be right within a factor of two."""
    cell = plan.cell
    reads = 4  # of a tap: where it is, what is there, what it is multiplied by
    busy = plan.strip_rows * cell.unknowns * (cell.unknowns + reads) * max(cell.taps, 1) / _PRODUCTS
    step = _STEP + busy
    strip = plan.chunks * (plan.chunk * step + _CHUNK)
    lag = -(-(cell.slope * plan.strip_rows) // plan.chunk) + 1  # chunks that a strip is behind the one above it
    last = (plan.strips - 1) * lag * (plan.chunk * step + _CHUNK) + strip
    together = min(plan.blocks, device.processors * max(1.0, step / busy))  # blocks that do not slow each other down
    return max(last, plan.images * plan.strips / together * strip)


def cells(shape: SolveShape, device: Device) -> list[CellShape]:
    """What the kernels could be compiled for: cells of all sizes worth considering, the largest first.

    A cell has up to 16 unknowns, and is never larger than the image, so that its inverse grows no further. A half plane
    is causal along rows only, so its cells are parts of a row.
    """
    down = across = 1
    recurrent = shape.kernel_height * shape.kernel_width > 1
    while recurrent and 2 * down * across * shape.channels <= _CELL:
        if not shape.half and down < across and 2 * down <= shape.height:
            down *= 2
        elif 2 * across <= shape.width:
            across *= 2
        else:
            break
    sizes = [(down, across)]
    while down * across > 1:
        down, across = (down, across // 2) if across >= down else (down // 2, across)
        sizes.append((down, across))
    return [_cell(shape, device, *size) for size in sizes]


def _cell(shape: SolveShape, device: Device, down: int, across: int) -> CellShape:
    rows, columns = -(-shape.height // down), -(-shape.width // across)
    reach = shape.kernel_width // 2 if shape.half else shape.kernel_width - 1
    left = min(-(-reach // across), columns - 1)  # what no pixel can see is left out
    above = min(-(-(shape.kernel_height - 1) // down), rows - 1)
    right = left if shape.half else 0
    taps = left + above * (left + 1 + right)

    unknowns = shape.channels * down * across
    # Many unknowns: as many products for each number read as registers allow. Few: as many threads as possible.
    widest, rows_per_thread = (8, 2) if unknowns >= 32 and rows > 1 else (4, 1)
    outputs = -(-unknowns // -(-unknowns // widest))
    parts = -(-unknowns // outputs)
    lanes = min(device.warp, max(1, device.threads // parts), max(1, 2 * taps - 1))
    splits = [split for split in (1, 2, 4, 8) if split <= lanes]
    of_a_tap = unknowns * outputs * shape.itemsize
    sufficient = [split for split in splits if -(-taps // split) * of_a_tap <= _HELD_BYTES]
    split = sufficient[0] if sufficient else splits[-1]
    held = bool(sufficient)
    scalar = {4: "float", 8: "double"}[shape.itemsize]
    return CellShape(scalar, shape.channels, down, across, above, left, right, split, outputs, rows_per_thread, held)
