"""How a problem is cut and launched: everything that depends on shapes alone, in plain Python.

The same plan launches the kernels on a GPU and in their proof on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .shape import Shape

__all__ = ["MAX_THREADS", "Device", "LaunchPlan", "SolveShape", "cut", "plan", "shapes"]

MAX_THREADS = 512  # of a block that solves: leaves each of them 128 registers
PREPARE_THREADS = 256  # of a block that makes a matrix, at most

_CELL = 16  # unknowns of a cell, at most, where pixels are put together
_HELD_BYTES = 256  # registers for the taps of one thread

# For the model of the time, in cycles of a processor.
_STEP = 300  # of latency in a step: a barrier, two loads from shared memory, a sum across lanes
_CHUNK = 3000  # of latency in loading and storing a chunk
_PRODUCTS = 64  # that a processor forms and adds in a cycle: half of its peak


@dataclass(frozen=True)
class Device:
    """What of a GPU decides on a plan."""

    processors: int
    shared_bytes: int  # that a block can have
    shared_bytes_per_processor: int
    threads: int = MAX_THREADS  # of a block, at most
    threads_per_processor: int = 2048
    warp: int = 32


@dataclass(frozen=True)
class SolveShape:
    """The shapes of a solve, corners aside: they are signs of strides."""

    batch: int
    channels: int  # per group
    groups: int
    height: int
    width: int
    kernel_height: int
    kernel_width: int
    half: bool  # half-plane support, else quarter-plane
    itemsize: int  # 4 or 8


@dataclass(frozen=True)
class LaunchPlan:
    """A shape, and the sizes of its launches.

    strip_rows: rows of cells that a block solves at a time; strips: how many of them an image has.
    chunk: steps between two looks at the image; chunks: how many of them a strip takes.
    """

    shape: Shape
    images: int
    strip_rows: int
    strips: int
    chunk: int
    chunks: int
    threads: int
    blocks: int
    shared_bytes: int
    groups: int
    prepare_threads: int

    @property
    def matrices(self) -> int:
        """Numbers in the table of matrices."""
        return self.groups * self.shape.table * self.shape.matrix

    @property
    def counters(self) -> int:
        return 1 + self.images * self.strips


@lru_cache(maxsize=512)
def plan(problem: SolveShape, device: Device) -> LaunchPlan | str:
    """The plan for a problem, or the reason why there is none.

    - *Cells.* With few channels, pixels are solved some at a time, by the dense inverse of the operator on a cell: the
      wavefront takes fewer steps, each of which has more to do.
    - *Strips.* Every strip but the first waits for the one above it, so high strips take fewer steps from the first
      pixel to the last; low ones keep more processors busy.
    - *Chunks.* Long ones cost less, short ones let the next strip start earlier.

    Of all that fit, the one that is quickest by a model of the time is taken.
    """
    tasks = problem.batch * problem.groups * problem.height
    if tasks >= 2**31 or problem.height * problem.width >= 2**31:
        return "more than 2^31 rows in the batch, or pixels in an image"
    allowed = [shape for shape in shapes(problem, device) if shape.parts * shape.split <= device.threads]
    if not allowed:
        return f"{problem.channels} channels per group need more than {device.threads} threads in a block"
    candidates = [cut(problem, device, shape, *sizes) for shape in allowed for sizes in _sizes(problem, device, shape)]

    def needed(candidate: LaunchPlan) -> int:
        return max(candidate.shared_bytes, candidate.shape.prepare_shared_bytes)

    fitting = [candidate for candidate in candidates if needed(candidate) <= device.shared_bytes]
    if not fitting:
        least = min(map(needed, candidates))
        return f"needs {least} bytes of shared memory in a block, the device has {device.shared_bytes}"
    return min(fitting, key=lambda candidate: _cycles(candidate, device))


def _sizes(problem: SolveShape, device: Device, shape: Shape) -> Iterator[tuple[int, int]]:
    """Rows of a strip and steps of a chunk worth considering, the largest first."""
    rows = -(-problem.height // shape.cell_rows)
    most = device.threads // (shape.parts * shape.split)  # threads for the rows
    threads = min(most, -(-rows // shape.rows_per_thread))
    while True:
        strips = -(-rows // (threads * shape.rows_per_thread))
        even = -(-rows // (strips * shape.rows_per_thread))  # the strips are of a size, or nearly so
        for chunk in (device.warp, device.warp // 2, device.warp // 4):
            yield even * shape.rows_per_thread, chunk
        if threads == 1:
            return
        threads //= 2


def cut(problem: SolveShape, device: Device, shape: Shape, strip_rows: int, chunk: int) -> LaunchPlan:
    """The plan for strips and chunks of a given size, whether it fits or not."""
    rows, columns = -(-problem.height // shape.cell_rows), -(-problem.width // shape.cell_columns)
    steps = columns + shape.slope * (strip_rows - 1)
    chunk = min(chunk, steps)
    images, strips = problem.batch * problem.groups, -(-rows // strip_rows)
    shared_bytes = shape.solve_shared_bytes(strip_rows, chunk)
    lanes = shape.parts * shape.split * strip_rows // shape.rows_per_thread
    threads = -(-lanes // device.warp) * device.warp
    resident = min(device.shared_bytes_per_processor // (shared_bytes + 1024), device.threads_per_processor // threads)
    return LaunchPlan(
        shape=shape,
        groups=problem.groups,
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


def _cycles(plan: LaunchPlan, device: Device) -> float:
    """A model of the time a plan takes. Its constants are estimates; they need to be right within a factor of two."""
    shape = plan.shape
    reads = 4  # of a tap: where it is, what is there, what it is multiplied by
    busy = plan.strip_rows * shape.unknowns * (shape.unknowns + reads) * max(shape.taps, 1) / _PRODUCTS
    step = _STEP + busy
    strip = plan.chunks * (plan.chunk * step + _CHUNK)
    lag = -(-(shape.slope * plan.strip_rows) // plan.chunk) + 1  # chunks that a strip is behind the one above it
    last = (plan.strips - 1) * lag * (plan.chunk * step + _CHUNK) + strip
    together = min(plan.blocks, device.processors * max(1.0, step / busy))  # blocks that do not slow each other down
    return max(last, plan.images * plan.strips / together * strip)


def shapes(problem: SolveShape, device: Device) -> list[Shape]:
    """What the kernels could be compiled for: cells of all sizes worth considering, the largest first.

    A cell has up to 16 unknowns, and is never larger than the image, so that its inverse grows no further. A half plane
    is causal along rows only, so its cells are parts of a row.
    """
    down = across = 1
    recurrent = problem.kernel_height * problem.kernel_width > 1
    while recurrent and 2 * down * across * problem.channels <= _CELL:
        if not problem.half and down < across and 2 * down <= problem.height:
            down *= 2
        elif 2 * across <= problem.width:
            across *= 2
        else:
            break
    sizes = [(down, across)]
    while down * across > 1:
        down, across = (down, across // 2) if across >= down else (down // 2, across)
        sizes.append((down, across))
    return [_shape(problem, device, *size) for size in sizes]


def _shape(problem: SolveShape, device: Device, down: int, across: int) -> Shape:
    rows, columns = -(-problem.height // down), -(-problem.width // across)
    reach = problem.kernel_width // 2 if problem.half else problem.kernel_width - 1
    left = min(-(-reach // across), columns - 1)  # what no pixel can see is left out
    above = min(-(-(problem.kernel_height - 1) // down), rows - 1)
    right = left if problem.half else 0
    taps = left + above * (left + 1 + right)

    unknowns = problem.channels * down * across
    # Many unknowns: as many products for each number read as registers allow. Few: as many threads as possible.
    widest, rows_per_thread = (8, 2) if unknowns >= 32 and rows > 1 else (4, 1)
    outputs = -(-unknowns // -(-unknowns // widest))
    parts = -(-unknowns // outputs)
    lanes = min(device.warp, max(1, device.threads // parts), max(1, 2 * taps - 1))
    splits = [split for split in (1, 2, 4, 8) if split <= lanes]
    of_a_tap = unknowns * outputs * problem.itemsize
    holding = [split for split in splits if -(-taps // split) * of_a_tap <= _HELD_BYTES]
    split = holding[0] if holding else splits[-1]
    held = bool(holding)
    scalar = {4: "float", 8: "double"}[problem.itemsize]
    return Shape(scalar, problem.channels, down, across, above, left, right, split, outputs, rows_per_thread, held)
