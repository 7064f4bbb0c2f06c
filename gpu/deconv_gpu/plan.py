"""How a problem is cut and launched: everything that depends on shapes alone, in plain Python.

The same plan launches the kernels on a GPU and in their proof on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["MAX_THREADS", "Device", "Plan", "Problem", "Shape", "cut", "plan", "shape_of"]

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
class Problem:
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
class Shape:
    """The arguments of the C++ template of the same name, in its order."""

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

    def __str__(self) -> str:
        fields = (str(int(value)) if isinstance(value, int) else value for value in vars(self).values())
        return f"Shape<{', '.join(fields)}>"

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
    def slope(self) -> int:
        return self.right + 1

    @property
    def reach(self) -> int:
        return self.left + self.slope * self.above

    @property
    def taps(self) -> int:
        return self.left + self.above * (self.left + 1 + self.right)

    @property
    def table(self) -> int:
        return 1 + -(-self.taps // self.split) * self.split

    @property
    def line(self) -> int:
        return 16 // self.itemsize

    @property
    def cell(self) -> int:
        vector = self.line if self.unknowns % self.line == 0 else 2 if self.unknowns % 2 == 0 else 1
        return (-(-self.parts * self.outputs // vector) | 1) * vector

    @property
    def matrix(self) -> int:
        return (-(-self.parts * self.unknowns * self.outputs // self.line) | 1) * self.line

    @property
    def prepare_shared_bytes(self) -> int:
        square = self.channels**2
        doubles = square + self.cell_rows * self.cell_columns * square + self.unknowns**2 + 2 * self.channels
        return 8 * doubles + 4 * self.channels

    def solve_shared_bytes(self, strip_rows: int, chunk: int) -> int:
        integers = 4 + -(-self.table // 4) * 4
        ring = (self.reach + chunk) * ((self.above + strip_rows) | 1) * self.cell
        tables = 1 if self.held else self.table
        return 4 * integers + self.itemsize * (tables * self.matrix + ring)


@dataclass(frozen=True)
class Plan:
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
def plan(problem: Problem, device: Device) -> Plan | str:
    """The plan for a problem, or the reason why there is none.

    - *Cells.* With up to three channels, pixels are solved some at a time, by the dense inverse of the operator on a
      cell: a step of the wavefront then has enough to do for a thread to be worth starting, and there are fewer steps.
    - *Strips.* Every strip but the first waits for the one above it, so high strips take fewer steps from the first
      pixel to the last; low ones keep more processors busy. A model of the time decides.
    - *Chunks.* Long ones cost less, short ones let the next strip start earlier: by the same model.
    """
    shape = shape_of(problem, device)
    tasks = problem.batch * problem.groups * problem.height
    if tasks >= 2**31 or problem.height * problem.width >= 2**31:
        return "more than 2^31 rows in the batch, or pixels in an image"
    lanes = shape.parts * shape.split
    if lanes > device.threads:
        return (
            f"{problem.channels} channels per group need {lanes} threads in a block, at most {device.threads} allowed"
        )
    candidates = [cut(problem, device, shape, *sizes) for sizes in _sizes(problem, device, shape)]
    needed = max(shape.prepare_shared_bytes, min(candidate.shared_bytes for candidate in candidates))
    if needed > device.shared_bytes:
        return f"needs {needed} bytes of shared memory in a block, the device has {device.shared_bytes}"
    fitting = [candidate for candidate in candidates if candidate.shared_bytes <= device.shared_bytes]
    return min(fitting, key=lambda candidate: _cycles(candidate, device))


def _sizes(problem: Problem, device: Device, shape: Shape) -> Iterator[tuple[int, int]]:
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


def cut(problem: Problem, device: Device, shape: Shape, strip_rows: int, chunk: int) -> Plan:
    """The plan for strips and chunks of a given size, whether it fits or not."""
    rows, columns = -(-problem.height // shape.cell_rows), -(-problem.width // shape.cell_columns)
    steps = columns + shape.slope * (strip_rows - 1)
    chunk = min(chunk, steps)
    images, strips = problem.batch * problem.groups, -(-rows // strip_rows)
    shared_bytes = shape.solve_shared_bytes(strip_rows, chunk)
    lanes = shape.parts * shape.split * strip_rows // shape.rows_per_thread
    threads = -(-lanes // device.warp) * device.warp
    resident = min(device.shared_bytes_per_processor // (shared_bytes + 1024), device.threads_per_processor // threads)
    return Plan(
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


def _cycles(plan: Plan, device: Device) -> float:
    """A model of the time a plan takes. Its constants are estimates; they need to be right within a factor of two."""
    shape = plan.shape
    busy = plan.strip_rows * shape.unknowns**2 * max(shape.taps, 1) / _PRODUCTS
    step = _STEP + busy
    strip = plan.chunks * (plan.chunk * step + _CHUNK)
    lag = -(-(shape.slope * plan.strip_rows) // plan.chunk) + 1  # chunks that a strip is behind the one above it
    last = (plan.strips - 1) * lag * (plan.chunk * step + _CHUNK) + strip
    together = min(plan.blocks, device.processors * max(1.0, step / busy))  # blocks that do not slow each other down
    return max(last, plan.images * plan.strips / together * strip)


def _cell(problem: Problem) -> tuple[int, int]:
    """Rows and columns of a cell, in pixels; never more than the image has, so that its inverse grows no further.

    A half plane is causal along rows only, so its cells are parts of a row.
    """
    if problem.channels > 3 or problem.kernel_height == problem.kernel_width == 1:
        return 1, 1
    across = {1: 16, 2: 8, 3: 4}[problem.channels] if problem.half else {1: 4, 2: 4, 3: 2}[problem.channels]
    while across > problem.width:
        across //= 2
    down = 1 if problem.half else {1: 4, 2: 2, 3: 2}[problem.channels]
    while down > problem.height:
        down //= 2
    return down, across


def shape_of(problem: Problem, device: Device) -> Shape:
    """What the kernels are compiled for."""
    down, across = _cell(problem)
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
