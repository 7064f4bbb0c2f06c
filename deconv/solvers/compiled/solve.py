"""The compiled solve: choose a kernel family, pack its tables, run it."""

from __future__ import annotations

from functools import lru_cache

import llvmlite.binding
import numpy as np
import torch
from torch import Tensor

from ..anchor import singular_anchor
from . import batch_lanes, channel_lanes, row_lanes
from .parallel import run
from .plan import Plan, Problem, address
from .tables import invert_anchors

__all__ = ["solve"]


@lru_cache
def _register_bytes() -> int:
    """64 where the processor has registers of 512 bits, else 32."""
    return 64 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 32


@lru_cache(maxsize=256)
def _plan(problem: Problem) -> Plan:
    if problem.channels <= 3:
        family = row_lanes
    elif problem.batch < int(__import__("os").environ.get("BL", 4)):
        family = channel_lanes
    else:
        family = batch_lanes
    return family.plan(problem)


def solve(y: Tensor, weight: Tensor, *, corner: str, support: str, groups: int) -> Tensor:
    y = y.contiguous()
    x = torch.empty_like(y)
    taps = weight.contiguous().numpy()
    batch, _, height, width = y.shape
    _, channels, kh, kw = taps.shape
    problem = Problem(
        batch, channels, groups, height, width, kh, kw, support, corner, taps.itemsize, _register_bytes()
    )
    plan = _plan(problem)

    inverse = np.empty((groups, channels, channels), taps.dtype)
    condition, identity = invert_anchors(taps, groups, problem.anchor, inverse)
    if not condition * np.finfo(taps.dtype).eps < 1:
        raise singular_anchor(condition)
    tables = plan.pack(taps, inverse, identity)

    threads = max(1, min(torch.get_num_threads(), plan.tasks))
    scratch_bytes = -(-plan.scratch_bytes // 64) * 64
    scratch = np.empty(threads * scratch_bytes + 64, np.uint8)
    aligned = -(-address(scratch) // 64) * 64
    words = (y.data_ptr(), x.data_ptr(), *plan.words, *map(address, tables), aligned, scratch_bytes)
    run(plan.kernel, words, plan.tasks, threads)
    return x
