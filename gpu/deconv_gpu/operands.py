"""The tensors of a solve as its launches see them: addresses to fill in, strides, and the corner in their signs."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int32, c_int64, c_void_p

from torch import Tensor

from .solve_shape import SolveShape

__all__ = ["Operands", "describe"]


def describe(y: Tensor, weight: Tensor, support: str, groups: int) -> SolveShape:
    """The shapes of a solve."""
    batch, channels, height, width = y.shape
    kernel_height, kernel_width = weight.shape[-2:]
    half = support == "half"
    return SolveShape(
        batch, channels // groups, groups, height, width, kernel_height, kernel_width, half, y.element_size()
    )


class Operands:
    """Arguments of kernels for all tensors of the same shapes, strides and dtype.

    Any strides will do. The image is seen from the corner by the signs of strides. A call fills in the addresses in
    place.

    Parameters
    ----------
    y, weight : Tensor
        Right-hand side and kernel; what is in them does not matter.
    corner : {"tl", "tr", "bl", "br"}
        Where the causal past lies.
    support : {"quarter", "half"}
        Of the kernel.

    Attributes
    ----------
    image : tuple of ctypes values
        `y`, and its strides (image, channel, row, column).
    solution : tuple of ctypes values
        `x`, which is contiguous, and its strides (row, column).
    kernel : tuple of ctypes values
        The kernel, its strides (output, input, row, column), its size and the column of its anchor.
    """

    def __init__(self, y: Tensor, weight: Tensor, corner: str, support: str):
        self._y, self._x, self._weight = c_void_p(), c_void_p(), c_void_p()
        self._workspace: list[tuple[c_void_p, int]] = []
        height, width = y.shape[-2:]
        kernel_height, kernel_width = weight.shape[-2:]
        anchor = kernel_width // 2 if support == "half" else kernel_width - 1
        self._y_offset, y_rows, y_columns = _seen_from(corner, y.shape, y.stride(), y.element_size())
        contiguous = height * width, height * width, width, 1  # only those of rows and columns are looked at
        self._x_offset, x_rows, x_columns = _seen_from(corner, y.shape, contiguous, y.element_size())
        self.image = self._y, *map(c_int64, (y.stride(0), y.stride(1), y_rows, y_columns))
        self.solution = self._x, *map(c_int64, (x_rows, x_columns))
        sizes = kernel_height, kernel_width, anchor
        self.kernel = self._weight, *map(c_int64, weight.stride()), *map(c_int32, sizes)

    def in_workspace(self, offset: int) -> c_void_p:
        """An argument: the address so many bytes into the workspace."""
        place = c_void_p()
        self._workspace.append((place, offset))
        return place

    def fill_in(self, y: Tensor, weight: Tensor, x: Tensor, workspace: int) -> None:
        """Fill in the addresses; `workspace` is one."""
        self._y.value = y.data_ptr() + self._y_offset
        self._x.value = x.data_ptr() + self._x_offset
        self._weight.value = weight.data_ptr()
        for place, offset in self._workspace:
            place.value = workspace + offset


def _seen_from(corner: str, shape: Sequence[int], strides: Sequence[int], itemsize: int) -> tuple[int, int, int]:
    """Bytes to the pixel in the corner, and the strides of rows and columns away from it."""
    (height, width), (rows, columns) = shape[-2:], strides[-2:]
    offset = 0
    if corner[0] == "b":
        offset, rows = offset + (height - 1) * rows * itemsize, -rows
    if corner[1] == "r":
        offset, columns = offset + (width - 1) * columns * itemsize, -columns
    return offset, rows, columns
