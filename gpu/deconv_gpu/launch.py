"""From tensors to launches: a solve is one small kernel for the matrices and one for the images.

Memory comes from torch's caching allocator, arguments are addresses and sizes, and nothing here waits for the device,
so a solve can be captured in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .plan import LaunchPlan, SolveShape

__all__ = ["Launch", "describe", "run"]


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel: ``"prepare"`` or ``"solve"``. Arguments are NumPy scalars, as C takes them."""

    kernel: str
    plan: LaunchPlan
    blocks: int
    threads: int
    shared_bytes: int
    arguments: Sequence[np.generic]


def describe(y: Tensor, weight: Tensor, support: str, groups: int) -> SolveShape:
    """The shapes of a solve."""
    batch, channels, height, width = y.shape
    kernel_height, kernel_width = weight.shape[-2:]
    half = support == "half"
    return SolveShape(
        batch, channels // groups, groups, height, width, kernel_height, kernel_width, half, y.element_size()
    )


def run(
    y: Tensor, weight: Tensor, plan: LaunchPlan, corner: str, support: str, start: Callable[[Launch], None]
) -> Tensor:
    """Solve as planned; `start` starts one launch after the other, each of which sees what the one before it wrote.

    Any strides will do. The image is seen from the `corner` by the signs of strides.
    """
    x = torch.empty_like(y, memory_format=torch.contiguous_format)
    workspace = torch.empty(plan.matrices, dtype=y.dtype, device=y.device)
    counters = torch.empty(plan.counters, dtype=torch.int32, device=y.device)

    kernel_height, kernel_width = weight.shape[-2:]
    anchor = kernel_width // 2 if support == "half" else kernel_width - 1
    prepare = (
        np.uint64(weight.data_ptr()),
        *map(np.int64, weight.stride()),
        np.int32(kernel_height),
        np.int32(kernel_width),
        np.int32(anchor),
        np.float64(torch.finfo(y.dtype).eps),
        np.uint64(workspace.data_ptr()),
        np.uint64(counters.data_ptr()),
        np.int32(plan.counters),
    )
    cell = plan.cell
    start(Launch("prepare", plan, plan.groups * cell.table, plan.prepare_threads, cell.prepare_shared_bytes, prepare))

    y_origin, y_rows, y_columns = _seen_from(corner, y)
    x_origin, x_rows, x_columns = _seen_from(corner, x)
    solve = (
        np.uint64(y_origin),
        *map(np.int64, (y.stride(0), y.stride(1), y_rows, y_columns)),
        np.uint64(x_origin),
        *map(np.int64, (x_rows, x_columns)),
        *map(np.int32, (plan.images, plan.groups, *y.shape[-2:])),
        np.uint64(workspace.data_ptr()),
        np.uint64(counters.data_ptr()),
        *map(np.int32, (plan.strip_rows, plan.strips, plan.chunk, plan.chunks)),
    )
    start(Launch("solve", plan, plan.blocks, plan.threads, plan.shared_bytes, solve))
    return x


def _seen_from(corner: str, image: Tensor) -> tuple[int, int, int]:
    """Address of the pixel in the corner, and the strides of rows and columns away from it."""
    (height, width), (rows, columns) = image.shape[-2:], image.stride()[-2:]
    origin = image.data_ptr()
    if corner[0] == "b":
        origin, rows = origin + (height - 1) * rows * image.element_size(), -rows
    if corner[1] == "r":
        origin, columns = origin + (width - 1) * columns * image.element_size(), -columns
    return origin, rows, columns
