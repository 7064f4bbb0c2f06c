"""The cases that the solver benchmark times, and their random kernels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deconv.solvers.geometry import Support, anchor_column, padding, support_mask

__all__ = ["FEW_IMAGES", "TABLE", "SolveCase"]


@dataclass(frozen=True)
class SolveCase:
    """A batch of images and a causal kernel."""

    batch: int
    channels: int
    height: int
    width: int
    kernel_height: int
    kernel_width: int
    support: Support = "quarter"

    def __str__(self) -> str:
        size = f"{self.batch} x {self.channels} x {self.height} x {self.width}"
        half = " half" if self.support == "half" else ""
        return f"{size}, {self.kernel_height} x {self.kernel_width}{half}"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.channels, self.height, self.width

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return self.channels, self.channels, self.kernel_height, self.kernel_width

    @property
    def pixels(self) -> int:
        """Elements of the images."""
        return self.batch * self.channels * self.height * self.width

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """What `torch.nn.functional.pad` needs for the causal convolution."""
        return padding(self.kernel_height, self.kernel_width, self.support)

    def images(self, seed: int = 1) -> Tensor:
        """White noise, float32."""
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(seed))

    def weight(self, seed: int = 0) -> Tensor:
        """A random float32 kernel with a full anchor matrix `T` whose inverse amplifies at most 2 / 0.3 times.

        ``T = I + R / 2`` with ``|R| <= 1`` has an inverse of norm at most 2, and the other taps are `T` times taps
        whose absolute sum is 0.7: see `deconv.inverse_gain_bound`.
        """
        generator = torch.Generator().manual_seed(seed)
        size = (self.kernel_height, self.kernel_width)
        channels, column = self.channels, anchor_column(self.kernel_width, self.support)
        noise = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
        anchor = torch.eye(channels) + 0.5 * noise / noise.abs().sum(1, keepdim=True)
        taps = torch.randn(channels, channels, *size, generator=generator, dtype=torch.float64)
        taps *= support_mask(*size, self.support)
        taps[:, :, -1, column] = 0
        taps *= 0.7 / taps.abs().sum((1, 2, 3), keepdim=True).clamp_min(1e-12)
        weight = torch.einsum("oi,ichw->ochw", anchor, taps)
        weight[:, :, -1, column] = anchor
        return weight.float()


TABLE = (
    SolveCase(100, 4, 14, 14, 3, 3),
    SolveCase(100, 12, 16, 16, 2, 2),
    SolveCase(100, 12, 16, 16, 3, 3),
    SolveCase(100, 12, 32, 32, 3, 3),
    SolveCase(100, 48, 8, 8, 3, 3),
    SolveCase(32, 48, 32, 32, 3, 3),
    SolveCase(16, 12, 64, 64, 3, 3),
    SolveCase(16, 12, 64, 64, 7, 7),
    SolveCase(1, 1, 512, 512, 3, 3),
    SolveCase(1, 1, 512, 512, 15, 15),
    SolveCase(1, 3, 512, 512, 5, 5),
    SolveCase(1, 1, 512, 512, 15, 29, "half"),
    SolveCase(100, 12, 16, 16, 2, 3, "half"),
)

# The hardest case, in a table of its own: nothing to run in parallel but a diagonal, and many channels to mix.
FEW_IMAGES = (
    SolveCase(1, 12, 64, 64, 3, 3),
    SolveCase(1, 48, 32, 32, 3, 3),
)
