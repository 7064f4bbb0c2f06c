"""The size of a tile, by a model of the time it takes.

Small tiles do the least arithmetic, large ones take the fewest steps. The constants are times on a CPU core and on an
accelerator; they need to be right within a factor of two only, the optimum is flat.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Tiling", "choose_tiling"]


@dataclass(frozen=True)
class Tiling:
    """How to cut a problem.

    height, width: of a tile, in pixels.
    gather: copy the windows of a diagonal together and take one product, rather than one for each strip, in place.
    chunk: images solved at a time.
    """

    height: int
    width: int
    gather: bool = False
    chunk: int = 1 << 30

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
    """Seconds. rows and columns: of a matrix product at which it reaches half its speed."""

    call: float
    flop: float
    element: float
    rows: int
    columns: int
    largest: int  # features of a tile
    resident: int | None  # elements that should stay in a cache


_CPU = _Machine(call=5e-6, flop=1.2e-11, element=3e-10, rows=4, columns=10, largest=384, resident=1 << 19)
_ACCELERATOR = _Machine(call=8e-6, flop=2e-13, element=2e-12, rows=256, columns=64, largest=1024, resident=None)
_SIDES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 32, 48, 64)


@lru_cache(maxsize=512)
def choose_tiling(
    shape: tuple[int, ...], kernel: tuple[int, ...], support: str, device: str, threads: int
) -> Tiling:
    """The tiling that should be fastest for images `(B, C, H, W)` and a kernel `(C, C / groups, kh, kw)`."""
    batch, channels, height, width = shape
    _, inner, _, _ = kernel
    machine = _CPU if device == "cpu" else _ACCELERATOR
    chunk = batch
    if machine.resident:
        chunks = min(batch, -(-channels * height * width * batch // machine.resident))
        chunk = -(-batch // chunks)
    # A tile no larger than the image holds no more of the inverse than the solution does: it overflows no earlier.
    heights = [side for side in _SIDES if side <= height] if support == "quarter" else [1]
    widths = [side for side in _SIDES if side <= width]
    candidates = [
        Tiling(h, w, gather, chunk)
        for h, w, gather in itertools.product(heights, widths, (False, True))
        if h * w == 1 or h * w * inner <= machine.largest
    ]
    return min(candidates, key=lambda tiling: _seconds(tiling, shape, kernel, support, machine, threads))


def _seconds(
    tiling: Tiling,
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    support: str,
    machine: _Machine,
    threads: int,
) -> float:
    batch, channels, height, width = shape
    _, inner, kh, kw = kernel
    groups = channels // inner
    right = kw // 2 if support == "half" else 0
    strips, tiles = tiling.count(height, width)
    bands = tiling.strips_above(kh) + 1
    features = tiling.height * tiling.width * inner
    window = bands * (tiling.width + kw - 1) * tiling.height * inner
    steps = tiles + tiling.slope(right) * (strips - 1)
    chunks = -(-batch // tiling.chunk)

    rows = strips * tiles * tiling.chunk / steps
    slowdown = (1 + machine.rows / rows) * (1 + machine.columns / features)
    work = batch * groups * strips * tiles
    flops = 2 * work * window * features * slowdown
    copied = work * window if tiling.gather else 0
    prepared = groups * features * window
    calls = steps * chunks * (3 if tiling.gather else bands)
    return (
        calls * machine.call
        + (flops + 4 * prepared * features) * machine.flop / threads
        + (copied + 10 * prepared) * machine.element
    )
