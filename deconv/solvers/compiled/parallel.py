"""Run a compiled kernel on torch's own threads.

A kernel is a C function of one pointer, to a table of 64-bit words. Word 0 counts the tasks handed out, word 1 the
threads that came in, word 2 is the number of tasks; the rest belongs to the kernel, whose threads fetch task after
task until none is left.

The threads are those of the OpenMP runtime that torch has loaded already, entered through its `GOMP_parallel`: the
pool is shared with torch, follows `torch.set_num_threads`, never oversubscribes the machine, and is safe to enter from
several Python threads at once. Without that entry point (another OpenMP runtime) Python threads do the same work; a
compiled kernel holds no interpreter lock.

No thread survives a fork, but the runtime does not know that and waits for them, for ever. So a forked process has one
thread; and torch's own operations, which share the pool, are told so where the pool was in use.
"""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numba.core.ccallback import CFunc

__all__ = ["run"]

_pool_in_use = False
_forked = False


@lru_cache
def _team():
    """The function ``team(kernel, table, threads, flags)`` of the OpenMP runtime, or None."""
    try:
        team = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):  # no such entry, or a system that cannot look up its own symbols
        return None
    team.restype = None
    team.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    return team


@lru_cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="deconv")


def _after_fork() -> None:
    global _forked
    _forked = True
    if _pool_in_use:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run(kernel: CFunc, words: tuple[int, ...], tasks: int, threads: int) -> None:
    """Call a kernel, on `threads` threads for `tasks` tasks."""
    global _pool_in_use
    table = np.array([0, 0, tasks, *words], dtype=np.int64)
    if threads == 1 or _forked:
        kernel.ctypes(table.ctypes.data)
    elif team := _team():
        _pool_in_use = True
        team(kernel.address, table.ctypes.data, threads, 0)
    else:
        helpers = [_pool().submit(kernel.ctypes, table.ctypes.data) for _ in range(threads - 1)]
        kernel.ctypes(table.ctypes.data)
        for helper in helpers:
            helper.result()
