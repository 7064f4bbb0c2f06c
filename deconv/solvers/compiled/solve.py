"""The compiled solve: choose a kernel family, pack its tables, run it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from ..anchor import singular_anchor
from ..geometry import Corner, Support
from . import batch_lanes, channel_lanes, row_lanes
from .parallel import run
from .prepared import PreparedKernel, SolveShape, address, register_bytes
from .tables import invert_anchors

__all__ = ["solve"]


@lru_cache(maxsize=256)
def _prepared(shape: SolveShape) -> PreparedKernel:
    """The family and register width that finish first, by what was measured of their cost per image.

    The unit is a full register of images. Half a register costs little more than half, so it serves small batches and
    spreads larger ones over the threads; channels in the lanes waste some lanes, but need no batch at all.
    """
    if shape.channels <= 3:
        return row_lanes.prepare(shape)

    def rounds(images: int) -> int:
        return -(-(-(-shape.batch // images) * shape.groups) // shape.threads)

    half = replace(shape, register_bytes=shape.register_bytes // 2)
    options = [
        (rounds(shape.lanes), batch_lanes, shape),
        (rounds(half.lanes) * 0.55, batch_lanes, half),
        (rounds(1) * 1.5 / shape.lanes, channel_lanes, shape),
    ]
    _, family, chosen = min(options, key=lambda option: option[0])
    return family.prepare(chosen)


def solve(y: Tensor, weight: Tensor, *, corner: Corner, support: Support, groups: int) -> Tensor:
    """Solve ``A x = y``; see `deconv.solvers.solve` for the arguments."""
    y = y.contiguous()
    taps = weight.contiguous().numpy()
    batch, _, height, width = y.shape
    _, channels, kh, kw = taps.shape
    threads = torch.get_num_threads()
    shape = SolveShape(
        batch, channels, groups, height, width, kh, kw, support, corner, taps.itemsize, register_bytes(), threads
    )

    inverse = np.empty((groups, channels, channels), taps.dtype)
    condition, identity = invert_anchors(taps, groups, shape.anchor, inverse)
    if not condition * np.finfo(taps.dtype).eps < 1:
        raise singular_anchor(condition)
    if kh == kw == 1:  # no recurrence at all
        return conv2d(y, torch.from_numpy(inverse).reshape(-1, channels, 1, 1), groups=groups).contiguous()
    prepared = _prepared(shape)
    packed = prepared.pack(taps, inverse, identity)

    x = torch.empty_like(y)
    threads = max(1, min(threads, prepared.tasks))
    scratch_bytes = -(-prepared.scratch_bytes // 64) * 64
    scratch = np.empty(threads * scratch_bytes + 64, np.uint8)
    aligned = -(-address(scratch) // 64) * 64
    words = (y.data_ptr(), x.data_ptr(), *prepared.words, *map(address, packed), aligned, scratch_bytes)
    run(prepared.kernel, words, prepared.tasks, threads)
    return x
