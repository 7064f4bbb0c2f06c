"""The CUDA source, and the C++ names of its kernels."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from .plan import MAX_THREADS
from .shape import Shape

__all__ = ["kernel_name", "kernels", "source"]

_PARTS = ("cell.cuh", "prepare.cu", "solve.cu")


@cache
def kernels() -> str:
    """The kernels, which need what `device.cuh` or a stand-in for it declares."""
    folder = files(__package__) / "kernels"
    return "\n".join((folder / part).read_text() for part in _PARTS)


@cache
def source() -> str:
    """One translation unit for a GPU. (One, because caches of compilers go by the text that they are given.)"""
    device = (files(__package__) / "kernels" / "device.cuh").read_text()
    return f"#define MAX_THREADS {MAX_THREADS}\n{device}\n{kernels()}"


def kernel_name(kernel: str, shape: Shape) -> str:
    """The template ``"prepare"`` or ``"solve"`` for a shape."""
    return f"{kernel}<{shape}>"
