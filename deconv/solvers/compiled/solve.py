"""The compiled solve: choose a kernel family, pack its tables, run it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from ..anchor import singular_anchor
from . import batch_lanes, channel_lanes, row_lanes
from .parallel import run
from .plan import PreparedKernel, SolveShape, address, register_bytes
from .tables import invert_anchors

__all__ = ["solve"]


@lru_cache(maxsize=256)
def _plan(problem: SolveShape) -> PreparedKernel:
    """The family and register width that finish first, by what was measured of their cost per image.

    The unit is a full register of images. Half a register costs little more than half, so it serves small batches and
    spreads larger ones over the threads; channels in the lanes waste some lanes, but need no batch at all.
    """
    p = problem
    if p.channels <= 3:
        return row_lanes.plan(p)

    def rounds(images: int) -> int:
        return -(-(-(-p.batch // images) * p.groups) // p.threads)

    half = replace(p, register_bytes=p.register_bytes // 2)
    options = [
        (rounds(p.lanes), batch_lanes, p),
        (rounds(half.lanes) * 0.55, batch_lanes, half),
        (rounds(1) * 1.5 / p.lanes, channel_lanes, p),
    ]
    _, family, chosen = min(options, key=lambda option: option[0])
    return family.plan(chosen)


def solve(y: Tensor, weight: Tensor, *, corner: str, support: str, groups: int) -> Tensor:
    y = y.contiguous()
    taps = weight.contiguous().numpy()
    batch, _, height, width = y.shape
    _, channels, kh, kw = taps.shape
    threads = torch.get_num_threads()
    problem = SolveShape(
        batch, channels, groups, height, width, kh, kw, support, corner, taps.itemsize, register_bytes(), threads
    )

    inverse = np.empty((groups, channels, channels), taps.dtype)
    condition, identity = invert_anchors(taps, groups, problem.anchor, inverse)
    if not condition * np.finfo(taps.dtype).eps < 1:
        raise singular_anchor(condition)
    if kh == kw == 1:  # no recurrence at all
        return conv2d(y, torch.from_numpy(inverse).reshape(-1, channels, 1, 1), groups=groups).contiguous()
    plan = _plan(problem)
    tables = plan.pack(taps, inverse, identity)

    x = torch.empty_like(y)
    threads = max(1, min(threads, plan.tasks))
    scratch_bytes = -(-plan.scratch_bytes // 64) * 64
    scratch = np.empty(threads * scratch_bytes + 64, np.uint8)
    aligned = -(-address(scratch) // 64) * 64
    words = (y.data_ptr(), x.data_ptr(), *plan.words, *map(address, tables), aligned, scratch_bytes)
    run(plan.kernel, words, plan.tasks, threads)
    return x
