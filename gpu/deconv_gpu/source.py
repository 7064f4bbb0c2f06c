"""The CUDA source, and the C++ names of its kernels."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from .cell_plan import MAX_THREADS
from .launch import KernelShape

__all__ = ["kernel_name", "kernels", "source"]


@cache
def kernels(names: tuple[str, ...]) -> str:
    """The text of some files, which need what `device.cuh` or a stand-in for it declares."""
    folder = files(__name__.rpartition(".")[0]) / "kernels"
    return "\n".join((folder / name).read_text() for name in names)


def source(shape: KernelShape) -> str:
    """One translation unit for a GPU. (One, because caches of compilers go by the text that they are given.)"""
    clusters = "#define BLOCKS_OF_A_CLUSTER(blocks) __cluster_dims__(blocks, 1, 1)\n" if shape.cluster > 1 else ""
    return f"#define MAX_THREADS {MAX_THREADS}\n{clusters}{kernels(('device.cuh', *shape.FILES))}"


def kernel_name(kernel: str, shape: KernelShape) -> str:
    """A template for a shape."""
    return f"{kernel}<{shape}>"
