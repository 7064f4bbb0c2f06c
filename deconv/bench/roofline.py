"""How far a solve is from what the device can do at all: moving the images once, and forming the products once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from deconv.solvers.geometry import support_mask

from .shapes import SolveCase
from .timing import interleaved_medians

__all__ = ["Roofline"]


@dataclass(frozen=True)
class Roofline:
    """Rates of a device, measured: of copying a tensor (bytes read and written), and of a product of large matrices.

    Products are those of IEEE float32, as the solves are.
    """

    bytes_per_second: float
    flops_per_second: float

    @classmethod
    def measured(cls, device: str = "cpu") -> Roofline:
        elements, side = (1 << 22, 1024) if device == "cpu" else (1 << 27, 8192)
        source = torch.ones(elements, device=device)
        target = torch.empty_like(source)
        matrix = torch.ones(side, side, device=device)
        times = interleaved_medians(
            {"copy": lambda: target.copy_(source), "product": lambda: matrix @ matrix},
            seconds=0.2,
            rounds=(3, 20),
            device=device,
        )
        return cls(2 * source.nbytes / times["copy"], 2 * side**3 / times["product"])

    @staticmethod
    def bytes(case: SolveCase) -> int:
        """Of the images in float32, read once and written once."""
        return 8 * case.pixels

    @staticmethod
    def flops(case: SolveCase) -> int:
        """A product and a sum for each tap, each channel it sees, and each element of the images."""
        taps = int(support_mask(case.kernel_height, case.kernel_width, case.support).sum())
        return 2 * case.pixels * case.channels * taps

    def seconds(self, case: SolveCase) -> float:
        """The least time in which a device with these rates could solve a case."""
        return max(self.bytes(case) / self.bytes_per_second, self.flops(case) / self.flops_per_second)

    def record(self) -> dict[str, float]:
        return asdict(self)
