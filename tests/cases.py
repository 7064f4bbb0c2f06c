"""The table of causal operators that every solver, operation and layer is tested on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from deconv.solvers.geometry import CORNERS, anchor_column, support_mask


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference, over the largest value."""
    return float((a - b).abs().max() / b.abs().max())


@dataclass(frozen=True)
class Case:
    """One operator: shapes, corner, support, and what its anchor matrix looks like."""

    batch: int
    channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    corner: str = "tl"
    support: str = "quarter"
    groups: int = 1
    anchor: str = "full"  # "full", "unit" (unit lower triangular) or "identity"

    def __str__(self) -> str:
        kh, kw = self.kernel
        return (
            f"{self.batch}x{self.channels}x{self.height}x{self.width}-k{kh}x{kw}-{self.corner}-{self.support}"
            f"-g{self.groups}-{self.anchor}"
        )

    def weight(self, dtype=torch.float64, gain: float = 0.6, seed: int = 0) -> torch.Tensor:
        """A random kernel; the taps off the anchor sum to `gain` of the anchor, so the inverse is well behaved."""
        generator = torch.Generator().manual_seed(seed)
        inner, (kh, kw) = self.channels // self.groups, self.kernel
        taps = torch.randn(self.channels, inner, kh, kw, generator=generator, dtype=torch.float64)
        taps = taps * support_mask(kh, kw, self.support)
        column = anchor_column(kw, self.support)
        taps[:, :, -1, column] = 0
        taps = taps * gain / taps.abs().sum((1, 2, 3), keepdim=True).clamp_min(1e-12)
        noise = torch.randn(self.groups, inner, inner, generator=generator, dtype=torch.float64)
        anchor = {
            "identity": torch.zeros_like(noise),
            "unit": 0.3 * noise.tril(-1),
            # A permutation keeps it far from triangular, so that pivoting and order matter.
            "full": 0.2 * noise + torch.eye(inner).flip(0) - torch.eye(inner),
        }[self.anchor] + torch.eye(inner)
        taps = anchor.unsqueeze(1) @ taps.reshape(self.groups, inner, inner, -1).permute(0, 3, 1, 2).reshape(
            self.groups, kh * kw, inner, inner
        )
        taps = taps.permute(0, 2, 3, 1).reshape(self.channels, inner, kh, kw)
        taps[:, :, -1, column] = anchor.reshape(self.channels, inner)
        return taps.to(dtype)

    def image(self, dtype=torch.float64, seed: int = 1) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        shape = (self.batch, self.channels, self.height, self.width)
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    @property
    def options(self) -> dict:
        return {"corner": self.corner, "support": self.support, "groups": self.groups}


# Small enough for a finite-difference check of every derivative.
CASES = [
    Case(1, 1, 1, 1, (1, 1)),
    Case(2, 1, 3, 4, (1, 1), anchor="identity"),
    Case(2, 3, 4, 3, (1, 1)),
    Case(1, 1, 5, 4, (2, 2)),
    Case(2, 1, 4, 6, (3, 3), corner="br"),
    Case(2, 3, 4, 5, (2, 3), corner="tr"),
    Case(1, 3, 5, 3, (3, 2), corner="bl", anchor="unit"),
    Case(1, 5, 3, 4, (2, 2), corner="br"),
    Case(2, 4, 3, 4, (2, 2), groups=2),
    Case(2, 3, 3, 4, (3, 1), groups=3, corner="tr"),
    Case(1, 1, 3, 4, (5, 5)),  # kernel larger than the image
    Case(1, 2, 2, 3, (5, 3), corner="bl"),
    Case(1, 1, 6, 7, (5, 5), corner="tr", anchor="identity"),
    Case(1, 1, 1, 7, (1, 3)),
    Case(1, 1, 7, 1, (3, 1), corner="bl"),
    *(Case(2, 1, 4, 5, (2, 3), corner=corner, support="half") for corner in CORNERS),
    Case(1, 3, 4, 5, (3, 3), support="half", anchor="unit"),
    Case(1, 1, 5, 6, (3, 5), corner="br", support="half", anchor="identity"),
    Case(1, 2, 2, 3, (3, 7), support="half"),  # wider than the image
    Case(2, 4, 3, 3, (2, 3), corner="tr", support="half", groups=2),
    Case(1, 5, 3, 3, (2, 1), support="half", corner="br"),
]

# Sizes at which the fast solvers change their way: whole vectors and remainders, several blocks, long rows.
LARGE_CASES = [
    Case(17, 4, 9, 14, (3, 3), corner="tr"),
    Case(33, 12, 7, 18, (3, 3), corner="br"),
    Case(8, 13, 6, 5, (2, 2), corner="bl"),
    Case(9, 26, 5, 6, (3, 3), groups=2),
    Case(20, 1, 11, 35, (5, 3), corner="br"),
    Case(16, 3, 8, 33, (3, 3), support="half", corner="tr"),
    Case(1, 1, 67, 70, (3, 3), corner="tr"),
    Case(2, 1, 40, 129, (15, 15), corner="bl"),
    Case(1, 3, 37, 50, (5, 5), corner="br"),
    Case(3, 2, 21, 64, (4, 7), corner="tl"),
    Case(1, 1, 33, 81, (7, 13), support="half", corner="br"),
    Case(2, 3, 18, 47, (3, 5), support="half", corner="tl"),
    Case(1, 12, 20, 23, (3, 3), corner="tr"),
    Case(2, 48, 9, 10, (3, 3), corner="br"),
    Case(1, 20, 13, 12, (2, 5), support="half", corner="bl"),
    Case(1, 6, 30, 9, (5, 2), groups=2, corner="br"),
]
