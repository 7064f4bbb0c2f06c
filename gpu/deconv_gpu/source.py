"""The CUDA source, and the C++ names of its kernels."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from .cell_shape import CellShape
from .plan import MAX_THREADS

__all__ = ["kernel_name", "kernels", "source"]

_PARTS = ("cell.cuh", "prepare.cu", "solve.cu")


@cache
def kernels() -> str:
    """The kernels, which need what `device.cuh` or a stand-in for it declares."""
    folder = files(__name__.rpartition(".")[0]) / "kernels"
    return "\n".join((folder / part).read_text() for part in _PARTS)


@cache
def source() -> str:
    """One translation unit for a GPU. (One, because caches of compilers go by the text that they are given.)"""
    device = (files(__name__.rpartition(".")[0]) / "kernels" / "device.cuh").read_text()
    return f"#define MAX_THREADS {MAX_THREADS}\n{device}\n{kernels()}"


def kernel_name(kernel: str, cell: CellShape) -> str:
    """The template ``"prepare"`` or ``"solve"`` for cells of a shape."""
    return f"{kernel}<{cell}>"
