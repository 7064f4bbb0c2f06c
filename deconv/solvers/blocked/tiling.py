"""The size of a tile, by a model of the time it takes.

Small tiles do the least arithmetic, large ones take the fewest steps. The model's constants need to be right within a
factor of two only: the optimum is flat.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import lru_cache

from deconv.solvers.geometry import Support

__all__ = ["Tiling", "choose_tiling"]


@dataclass(frozen=True)
class Tiling:
    """How to cut a batch of images.

    Attributes
    ----------
    height, width : int
        Of a tile, in pixels.
    gather : bool
        Copy the windows of a diagonal together and take one product, rather than one for each strip, in place.
    chunk : int or None
        Images solved at a time; None for all.
    """

    height: int
    width: int
    gather: bool = False
    chunk: int | None = None

    def count(self, height: int, width: int) -> tuple[int, int]:
        """Tiles down and across an image."""
        return -(-height // self.height), -(-width // self.width)

    def strips_above(self, kernel_height: int) -> int:
        """Strips that a kernel sees above a tile's own."""
        return -(-(kernel_height - 1) // self.height)

    def slope(self, right: int) -> int:
        """How many tiles a strip must lag behind the one above, for a kernel that sees `right` columns ahead."""
        return 1 + -(-right // self.width)


@dataclass(frozen=True)
class _Machine:
    """Times in seconds, sizes in elements."""

    call: float  # of one tensor operation
    flop: float  # of a product of large matrices
    move: float  # copying an element
    fetch: float  # an element's share in working on more than the caches hold
    rows: int  # of the left matrix, and
    columns: int  # of the right one, at which a product reaches half its speed
    largest: int  # features of a tile


_CPU = _Machine(call=5e-6, flop=1.2e-11, move=3e-10, fetch=1e-9, rows=4, columns=10, largest=384)
_ACCELERATOR = _Machine(call=8e-6, flop=2e-13, move=2e-12, fetch=0.0, rows=256, columns=64, largest=1024)
_SIDES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 32, 48, 64)


@lru_cache(maxsize=512)
def choose_tiling(
    shape: tuple[int, ...], kernel: tuple[int, ...], support: Support, device: str, threads: int
) -> Tiling:
    """The tiling that should be fastest for images `(B, C, H, W)` and a kernel `(C, C / groups, kh, kw)`."""
    _, _, height, width = shape
    _, inner, _, _ = kernel
    machine = _CPU if device == "cpu" else _ACCELERATOR
    # A tile within the image holds no more of the inverse than the solution does, so it overflows no earlier.
    heights = [side for side in _SIDES if side <= height] if support == "quarter" else [1]
    widths = [side for side in _SIDES if side <= width]
    candidates = (
        _timed(Tiling(h, w, gather), shape, kernel, support, machine, threads)
        for h, w, gather in itertools.product(heights, widths, (False, True))
        if h * w == 1 or h * w * inner <= machine.largest
    )
    return min(candidates, key=lambda timed: timed[0])[1]


def _timed(
    tiling: Tiling,
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    support: Support,
    machine: _Machine,
    threads: int,
) -> tuple[float, Tiling]:
    """The time to solve with tiles of this size, and the tiling with the best chunk for it."""
    batch, channels, height, width = shape
    _, inner, kh, kw = kernel
    groups = channels // inner
    bands = tiling.strips_above(kh) + 1
    features = tiling.height * tiling.width * inner
    window = bands * (tiling.width + kw - 1) * tiling.height * inner
    strips, tiles = tiling.count(height, width)
    steps = tiles + tiling.slope(kw // 2 if support == "half" else 0) * (strips - 1)

    # Fewer images at a time take more steps in all, but stay in the caches: call / chunk + fetch * chunk is least at
    calls = steps * (3 if tiling.gather else bands) * machine.call
    fetch = channels * height * width * machine.fetch
    chunks = min(batch, max(1, round(math.sqrt(batch * fetch / calls))))
    chunk = -(-batch // chunks)

    rows = strips * tiles * chunk / steps
    slowdown = (1 + machine.rows / rows) * (1 + machine.columns / features)
    work = batch * groups * strips * tiles
    flops = 2 * work * window * features * slowdown
    moved = work * window if tiling.gather else 0
    prepared = groups * features * window
    seconds = (
        chunks * calls
        + chunk * fetch
        + (flops + 4 * prepared * features) * machine.flop / threads
        + (moved + 10 * prepared) * machine.move
    )
    return seconds, replace(tiling, chunk=chunk)
