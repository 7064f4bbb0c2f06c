"""From tensors to launches: a solve is one small kernel for the matrices and one for the images.

What depends on shapes and strides alone is worked out once, and packed as the driver takes it; a call allocates, fills
in addresses and launches. Memory comes from torch's caching allocator and nothing here waits for the device, so a solve
can be captured in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import Array, addressof, c_double, c_int32, c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from .plan import LaunchPlan, SolveShape

__all__ = ["Launch", "PackedSolve", "describe"]


class Launch:
    """One launch of a kernel.

    Parameters
    ----------
    kernel : str
        ``"prepare"`` or ``"solve"``.
    plan : LaunchPlan
        Its cells say what the kernel is compiled for.
    blocks, threads, shared_bytes : int
        The size of the launch.
    arguments : sequence of ctypes values
        What the kernel is given, in its order; addresses are `c_void_p`.

    Attributes
    ----------
    address : int
        Of the array of pointers to the arguments.
    function : Any
        The compiled kernel, for whoever launches to keep here.
    """

    def __init__(
        self, kernel: str, plan: LaunchPlan, blocks: int, threads: int, shared_bytes: int, arguments: Sequence[Any]
    ):
        self.kernel, self.plan = kernel, plan
        self.blocks, self.threads, self.shared_bytes = blocks, threads, shared_bytes
        self.arguments = tuple(arguments)
        self._pointers: Array[c_void_p] = (c_void_p * len(self.arguments))(*map(addressof, self.arguments))
        self.address = addressof(self._pointers)
        self.function: Any = None


def describe(y: Tensor, weight: Tensor, support: str, groups: int) -> SolveShape:
    """The shapes of a solve."""
    batch, channels, height, width = y.shape
    kernel_height, kernel_width = weight.shape[-2:]
    half = support == "half"
    return SolveShape(
        batch, channels // groups, groups, height, width, kernel_height, kernel_width, half, y.element_size()
    )


class PackedSolve:
    """A solve for all tensors of the same shapes, strides and dtype.

    Any strides will do. The image is seen from the corner by the signs of strides. Arguments are packed in place, so
    each thread needs one of its own.

    Parameters
    ----------
    y, weight : Tensor
        Right-hand side and kernel; what is in them does not matter.
    plan : LaunchPlan
        How it is cut.
    corner : {"tl", "tr", "bl", "br"}
        Where the causal past lies.
    support : {"quarter", "half"}
        Of the kernel.
    """

    def __init__(self, y: Tensor, weight: Tensor, plan: LaunchPlan, corner: str, support: str):
        self._matrices_bytes = plan.matrices * y.element_size()
        self._workspace_bytes = self._matrices_bytes + 4 * plan.counters
        self._y, self._x, self._weight, self._matrices, self._counters = (c_void_p() for _ in range(5))

        height, width = y.shape[-2:]
        kernel_height, kernel_width = weight.shape[-2:]
        anchor = kernel_width // 2 if support == "half" else kernel_width - 1
        prepare = (
            self._weight,
            *map(c_int64, weight.stride()),
            *map(c_int32, (kernel_height, kernel_width, anchor)),
            c_double(torch.finfo(y.dtype).eps),
            self._matrices,
            self._counters,
            c_int32(plan.counters),
        )
        self._y_offset, y_rows, y_columns = _seen_from(corner, y.shape, y.stride(), y.element_size())
        contiguous = height * width, height * width, width, 1  # only those of rows and columns are looked at
        self._x_offset, x_rows, x_columns = _seen_from(corner, y.shape, contiguous, y.element_size())
        solve = (
            self._y,
            *map(c_int64, (y.stride(0), y.stride(1), y_rows, y_columns)),
            self._x,
            *map(c_int64, (x_rows, x_columns)),
            *map(c_int32, (plan.images, plan.groups, height, width)),
            self._matrices,
            self._counters,
            *map(c_int32, (plan.strip_rows, plan.strips, plan.chunk, plan.chunks)),
        )
        cell = plan.cell
        self.launches = (
            Launch("prepare", plan, plan.groups * cell.table, plan.prepare_threads, cell.prepare_shared_bytes, prepare),
            Launch("solve", plan, plan.blocks, plan.threads, plan.shared_bytes, solve),
        )

    def __call__(self, y: Tensor, weight: Tensor, start: Callable[[Launch], None]) -> Tensor:
        """Solve; `start` starts one launch after the other, each of which sees what the one before it wrote."""
        x = torch.empty_like(y, memory_format=torch.contiguous_format)
        workspace = torch.empty(self._workspace_bytes, dtype=torch.uint8, device=y.device)
        address = workspace.data_ptr()
        self._y.value = y.data_ptr() + self._y_offset
        self._x.value = x.data_ptr() + self._x_offset
        self._weight.value = weight.data_ptr()
        self._matrices.value = address
        self._counters.value = address + self._matrices_bytes
        for launch in self.launches:
            start(launch)
        return x


def _seen_from(corner: str, shape: Sequence[int], strides: Sequence[int], itemsize: int) -> tuple[int, int, int]:
    """Bytes to the pixel in the corner, and the strides of rows and columns away from it."""
    (height, width), (rows, columns) = shape[-2:], strides[-2:]
    offset = 0
    if corner[0] == "b":
        offset, rows = offset + (height - 1) * rows * itemsize, -rows
    if corner[1] == "r":
        offset, columns = offset + (width - 1) * columns * itemsize, -columns
    return offset, rows, columns
