"""What decides on how a solve is cut: its shapes, and the device."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Device", "SolveShape", "refusal_of_clusters", "registers_of_a_lane"]


@dataclass(frozen=True)
class Device:
    """What of a GPU decides on a plan."""

    processors: int
    shared_bytes: int  # that a block can have
    shared_bytes_per_processor: int
    threads: int = 512  # of a block that solves by cells, at most
    threads_per_processor: int = 2048
    warp: int = 32
    clusters: bool = False  # blocks that reach one another's shared memory: compute capability 9.0


@dataclass(frozen=True)
class SolveShape:
    """The shapes of a solve, corners aside: they are signs of strides."""

    batch: int
    channels: int  # per group
    groups: int
    height: int
    width: int
    kernel_height: int
    kernel_width: int
    half: bool  # half-plane support, else quarter-plane
    itemsize: int  # 4 or 8

    @property
    def images(self) -> int:
        """Images times groups."""
        return self.batch * self.groups

    @property
    def sees(self) -> tuple[int, int, int]:
        """Pixels within the image that the kernel sees: rows above, columns to the left, to the right in rows above."""
        reach = self.kernel_width // 2 if self.half else self.kernel_width - 1
        left = min(reach, self.width - 1)
        return min(self.kernel_height, self.height) - 1, left, left if self.half else 0


def registers_of_a_lane(warps: int) -> int:
    """That a lane can have in a block of so many warps: each quarter of a processor has 16384, in eights for a lane."""
    return min(16384 // (32 * -(-warps // 4)) // 8 * 8, 248)


def refusal_of_clusters(shape: SolveShape, device: Device, channels: range, cluster: int) -> str | None:
    """Why kernels whose strips hand over within clusters, of so many blocks at most, cannot solve this; else None."""
    if not device.clusters:
        return "needs a GPU of compute capability 9.0"
    if shape.itemsize != 4:
        return "is for float32"
    if shape.channels not in channels:
        return f"is for {channels.start} to {channels.stop - 1} channels per group, given {shape.channels}"
    above, left, _ = shape.sees
    if above + left == 0:
        return "is for kernels of more than one tap"
    if shape.images * cluster >= 2**31 or shape.height * shape.width >= 2**31:
        return "more than 2^31 strips in the batch, or pixels in an image"
    return None
