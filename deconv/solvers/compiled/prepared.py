"""What a kernel family makes of the shapes of a solve: everything that depends on them alone, worked out once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import llvmlite.binding
import numpy as np

from ..geometry import Corner, Support, anchor_column, is_flipped

__all__ = ["PreparedKernel", "SolveShape", "accumulators", "address", "register_bytes"]


@lru_cache
def _has_avx512() -> bool:
    return bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))


def register_bytes() -> int:
    """The widest vectors worth using: 512 bits where the processor has such registers, else 256."""
    return 64 if _has_avx512() else 32


def accumulators() -> int:
    """How many vectors a kernel may sum into at once: most of the registers, the rest are for operands."""
    return 24 if _has_avx512() else 12


@dataclass(frozen=True)
class SolveShape:
    """The shapes of a solve."""

    batch: int
    channels: int  # per group
    groups: int
    height: int
    width: int
    kernel_height: int
    kernel_width: int
    support: Support
    corner: Corner
    itemsize: int
    register_bytes: int  # the widest the processor has, or half of it
    threads: int

    @property
    def lanes(self) -> int:
        return self.register_bytes // self.itemsize

    @property
    def anchor(self) -> int:
        return anchor_column(self.kernel_width, self.support)

    @property
    def rows_flipped(self) -> bool:
        return is_flipped(self.corner)[0]

    @property
    def columns_flipped(self) -> bool:
        return is_flipped(self.corner)[1]


@dataclass(frozen=True)
class PreparedKernel:
    """A kernel, and all 64-bit words of its table that do not change from call to call.

    Attributes
    ----------
    kernel : numba cfunc
        See `parallel.run`.
    words : tuple of int
        They follow the addresses of the data and the solution.
    tables : tuple of ndarray
        Arrays that the words point to, kept alive.
    pack : callable
        ``pack(weight, inverse, identity)`` makes the tables whose addresses follow the words, None for a null address.
    tasks : int
        What is handed out to threads.
    scratch_bytes : int
        Working memory of a thread.
    """

    kernel: Any
    words: tuple[int, ...]
    tables: tuple[np.ndarray, ...]
    pack: Callable[[np.ndarray, np.ndarray, bool], tuple[np.ndarray | None, ...]]
    tasks: int
    scratch_bytes: int


def address(array: np.ndarray | None) -> int:
    """Where an array begins in memory. (`array.ctypes.data` takes three times as long.)"""
    return 0 if array is None else array.__array_interface__["data"][0]
