"""How a solve by strips is cut: images with 4 to 16 channels, whose kernel fits into registers."""

from __future__ import annotations

from ctypes import c_int32, c_void_p
from dataclasses import dataclass
from functools import lru_cache

from .launch import Launch
from .operands import Operands
from .solve_shape import Device, SolveShape, refusal_of_clusters, registers_of_a_lane
from .strip_shape import StripShape

__all__ = ["StripPlan", "cut_strips", "plan_strips", "strip_clusters"]

_CHANNELS = range(4, 17)
_HELD = 80  # numbers of the kernel in the registers of a lane, where few lanes can do with it,
_HELD_AT_MOST = 144  # and in any case
_OTHER_REGISTERS = 48  # of a lane
_WARPS = 16  # that solve
_CLUSTER = 8  # blocks: more are not to be had everywhere
_STRIP_ROWS = 8  # of a strip, at least, where an image could do with one


@dataclass(frozen=True)
class StripPlan:
    """The sizes of the launches.

    Attributes
    ----------
    strip : StripShape
        What the kernels are compiled for.
    shape : SolveShape
        Of the solve.
    strip_rows : int
        Rows of a strip; a cluster has as many strips as blocks, the last of which may be low or empty.
    pitch : int
        Pixels from row to row in shared memory.
    fused : bool
        Every block makes the matrices for itself; else a launch before makes them.
    """

    strip: StripShape
    shape: SolveShape
    strip_rows: int
    pitch: int
    fused: bool

    @property
    def shared_bytes(self) -> int:
        return self.strip.solve_shared_bytes(self.strip_rows, self.pitch)

    @property
    def compiled_for(self) -> StripShape:
        return self.strip

    @property
    def workspace_bytes(self) -> int:
        return 0 if self.fused else 4 * self.shape.groups * self.strip.table

    def launches(self, operands: Operands) -> tuple[Launch, ...]:
        strip, shape = self.strip, self.shape
        tables = c_void_p() if self.fused else operands.in_workspace(0)
        sizes = map(c_int32, (shape.groups, shape.height, shape.width, self.strip_rows, self.pitch))
        arguments = *operands.image, *operands.solution, *sizes, *operands.kernel, tables
        blocks = shape.images * strip.cluster
        solve = Launch("solve_strip", strip, blocks, strip.threads, self.shared_bytes, arguments)
        if self.fused:
            return (solve,)
        threads, shared_bytes = strip.PREPARE_THREADS, strip.prepare_shared_bytes
        return Launch("prepare_strip", strip, shape.groups, threads, shared_bytes, (*operands.kernel, tables)), solve


@lru_cache(maxsize=512)
def plan_strips(shape: SolveShape, device: Device) -> StripPlan | str:
    """The plan for a solve, or the reason why there is none.

    A large image is cut into strips where it has to be, and where there are processors for them. Few lanes with many
    taps each are quicker than many with few, which exchange their sums in more rounds.
    """
    if refusal := refusal_of_clusters(shape, device, _CHANNELS, _CLUSTER):
        return refusal
    reasons = []
    for cluster in strip_clusters(shape, device):
        found = cut_strips(shape, device, cluster)
        if isinstance(found, StripPlan):
            return found
        reasons.append(found)
    return reasons[-1]


def strip_clusters(shape: SolveShape, device: Device) -> list[int]:
    """Blocks of a cluster worth considering, the best first."""
    sizes = [1, 2, 4, 8]
    spread = [n for n in sizes if n * shape.images <= device.processors and n * _STRIP_ROWS <= shape.height]
    best = spread[-1] if spread and shape.height > 2 * _STRIP_ROWS else 1
    return [n for n in sizes if n >= best]


def cut_strips(shape: SolveShape, device: Device, cluster: int) -> StripPlan | str:
    """The plan for a given number of strips, if there is one."""
    above, left, right = shape.sees
    taps = left + above * (left + 1 + right)
    outputs = -(-shape.channels // 4)
    parts = -(-shape.channels // outputs)
    least = max(2, 1 << (outputs - 1).bit_length())
    shares = [n for n in (2, 4, 8) if n >= least and n * parts <= device.warp]
    per_tap = -(-shape.channels // 4) * 4 * outputs
    held = {n: -(-taps // n) * per_tap for n in shares}
    share = next((n for n in shares if held[n] <= _HELD), shares[-1])
    if held[share] > _HELD_AT_MOST:
        return f"{taps} taps of {shape.channels} channels do not fit into registers"
    watching = int(cluster > 1)
    fitting = [n for n in range(1, _WARPS + 1) if held[share] + _OTHER_REGISTERS <= registers_of_a_lane(n + watching)]
    most_warps = fitting[-1]
    rows_of_a_warp = device.warp // (parts * share)
    strip_rows = -(-shape.height // cluster)
    warps = -(-strip_rows // rows_of_a_warp)
    if warps > most_warps:
        return f"strips of {strip_rows} rows need {warps} warps, registers suffice for {most_warps}"
    if cluster > 1 and above > strip_rows:
        return f"strips of {strip_rows} rows are lower than the kernel"
    strip = StripShape(shape.channels, above, left, right, outputs, share, warps, cluster)
    planned = StripPlan(strip, shape, strip_rows, _pitch(strip, shape.width), _fused(shape, device, cluster))
    if planned.shared_bytes > device.shared_bytes:
        return f"needs {planned.shared_bytes} bytes of shared memory in a block, the device has {device.shared_bytes}"
    return planned


def _fused(shape: SolveShape, device: Device, cluster: int) -> bool:
    """Whether blocks make the matrices for themselves: not if a processor has to do so again and again."""
    return shape.images * cluster <= 2 * device.processors


def _pitch(strip: StripShape, width: int) -> int:
    """The distance of rows, room for pixels and zeros, at which lanes meet least in banks of shared memory."""
    least = width + strip.left
    return min(range(least, least + 8), key=lambda pitch: (_meetings(strip, pitch), pitch))


def _meetings(strip: StripShape, pitch: int) -> int:
    """Turns that loads of 16 bytes take, eight lanes at a time, from the eight places that there are side by side."""
    vectors, turns = strip.pixel // 4, 0
    for first in range(0, strip.taps, strip.shares):
        for eight in range(0, 32, 8):
            seen = set()
            for lane in range(eight, eight + 8):
                up, back = strip.tap(min(first + lane % strip.shares, strip.taps - 1))
                row = min(lane // strip.lanes, 32 // strip.lanes - 1)
                seen.add(((row - up) * pitch - strip.slope * row - back) * vectors)
            places = [address % 8 for address in seen]
            turns += max(map(places.count, places))
    return turns
