"""CUDA kernels for the causal solve, compiled at run time through CuPy.

Pixels that do not depend on one another are solved in one step: with taps that see `right` columns ahead in the rows
above, none for a quarter plane, the pixel in row `i` and column `j` in step ``j + (right + 1) i``. In these coordinates
quarter and half planes are the same. What a solve takes is the number of steps times the latency of one.

`plan.PLANS` lists the schemes in order of preference; a shape has the first that serves it.

*Strips*, for 4 to 16 channels in float32 on devices with clusters of blocks (compute capability 9.0). A block has an
image, or a strip of its rows, in shared memory from the first step to the last, and the kernel in registers. One
barrier to a step; the taps that do not see the step before are summed up ahead of it. The anchor is inverted by every
block for itself. Strips of one image are the blocks of a cluster, and store the rows that the next one sees straight
into its shared memory. There a NaN that arithmetic does not make says what has not come yet, so values are their own
flags.

*Rows*, for one to three channels in float32 on such devices. One warp solves a strip of rows, a lane each row, without
any barrier: what the row above has just got comes by a shuffle. Sums are kept in transposed form: a value is added to
the sums of all pixels that see it. Of large kernels the rows far from the anchor's are for helping warps, some steps
ahead. The blocks of a cluster have the strips in turns, and hand rows over as above.

*Products*, for more channels, or kernels of more taps, in float32 on such devices and images of up to 64 rows. A strip
has eight rows, so that the pixels of a step are the eight columns of a product on tensor cores, whose other factor, the
kernel, stays in registers. Numbers are cut into two parts, which keeps the precision of float32 (3xTF32).

*Cells*, for everything else. An image is cut into cells: pixels, or with few channels some pixels, of up to 16
unknowns. A cell is solved by the dense inverse of the operator on it, which is the same for all cells. From cell to
cell

    x[cell] = M[0] y[cell] + sum over taps of M[tap] x[cell - tap],

where the inverse of the anchor is multiplied into the matrices ``M``. One launch makes them, in double precision, and
another solves. A block takes a strip of rows with the steps that taps reach back to in a ring in shared memory, so an
image is read once and written once. Threads of a step are (row, some of the unknowns, share of the taps); lanes that
share the taps of a result add up by shuffles, and small tables of taps stay in registers. The strips of a large image
are solved side by side: a strip publishes how far it is by a store that releases, and the next one waits by a load
that acquires. Blocks claim strips in an order in which a strip comes after the one above it, so that whoever waits,
waits for a block that is running. It cannot deadlock, whatever the number of resident blocks.

- Corners are signs of strides, and tensors of any strides are taken as they are.
- The transposed solve is the solve of the transposed kernel from the opposite corner.
- The order of all sums is fixed: results are the same bits every time.
- Nothing waits for the device, so a solve can be captured in a CUDA graph, after a first call that compiles. A
  singular anchor cannot raise then: the solution is NaN.

The kernels are CUDA C++ in `kernels/`, everything of CuPy is in `compile.py`, and everything that is decided before a
launch is in the plans, in plain Python: the same plans run the same kernels on a CPU, in the tests.
"""

from __future__ import annotations

import threading
from functools import lru_cache

import torch
from torch import Tensor

from .compile import available, device_of, launcher
from .launch import PackedSolve
from .operands import describe
from .plan import plan
from .solve_shape import SolveShape

__all__ = ["available", "solve", "supports"]

_KEPT = 1024  # solves, of so many shapes


class _PackedSolves(threading.local):
    """Each thread has its own."""

    def __init__(self) -> None:
        self.by_key: dict[tuple, PackedSolve] = {}


_packed_solves = _PackedSolves()


def supports(y: Tensor, weight: Tensor, support: str, groups: int) -> tuple[bool, str]:
    """Whether the kernels take these operands, and the reason."""
    if y.device.type != "cuda":
        return False, f"needs CUDA tensors, given {y.device.type}"
    if not available()[0]:
        return available()
    return _verdict(describe(y, weight, support, groups), y.device.index)


@lru_cache(maxsize=512)
def _verdict(shape: SolveShape, index: int) -> tuple[bool, str]:
    planned = plan(shape, device_of(index))
    return (False, planned) if isinstance(planned, str) else (True, "fits into shared memory")


def solve(y: Tensor, weight: Tensor, *, corner: str, support: str, groups: int) -> Tensor:
    """Solve ``A x = y`` for operands that are supported; see `deconv.solvers.solve` for the arguments.

    The result is contiguous. Where an anchor matrix is singular it is NaN.
    """
    index = y.device.index
    key = (y.shape, y.stride(), weight.shape, weight.stride(), y.dtype, index, corner, support, groups)
    kept = _packed_solves.by_key
    packed = kept.get(key)
    if packed is None:
        planned = plan(describe(y, weight, support, groups), device_of(index))
        if isinstance(planned, str):
            raise ValueError(f"solver: 'cuda' cannot be used here: {planned}")
        if len(kept) >= _KEPT:
            kept.clear()
        packed = kept[key] = PackedSolve(y, weight, planned, corner, support)
    if index == torch.cuda.current_device():
        return packed(y, weight, launcher(index))
    with torch.cuda.device(index):
        return packed(y, weight, launcher(index))
