"""The unit of FInC Flow."""

from __future__ import annotations

import torch
from torch import Tensor

from ..nn.cache import cached
from ..nn.inverse_conv import Anchor, InverseConv2d
from ..nn.precision import without_autocast
from ..ops import causal_conv2d, inverse_conv2d
from ..solvers.geometry import CORNERS, flip
from .layer import Flow, per_image

__all__ = ["FIncUnit"]


class FIncUnit(Flow):
    """Four groups of channels, each convolved from another corner: `forward` convolves, `inverse` solves.

    The groups are independent, so that all of them are solved in one launch, on images flipped to one corner. The
    anchors are unit triangular by default: the log-determinant is then exactly zero.

    Parameters
    ----------
    channels : int
        A multiple of 4.
    kernel_size : int
        k of the k x k kernels.
    anchor : {"unit", "plu"}
        See `deconv.InverseConv2d`.
    max_gain : float or None
        Bound on the gain of the solves; see `deconv.InverseConv2d`.

    References
    ----------
    Kallappa, Nagar and Varma, "FInC Flow: Fast and Invertible k x k Convolutions for Normalizing Flows", VISAPP 2023.
    """

    def __init__(self, channels: int, kernel_size: int = 3, *, anchor: Anchor = "unit", max_gain: float | None = 10.0):
        super().__init__()
        if channels % len(CORNERS):
            raise ValueError(f"channels: must be a multiple of {len(CORNERS)}, given {channels}")
        self.kernels = InverseConv2d(channels, kernel_size, groups=len(CORNERS), anchor=anchor, max_gain=max_gain)

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Plain convolutions."""
        weight, log_det = cached(self, self.kernels.weight_and_log_det)
        z = _flip_groups(causal_conv2d(_flip_groups(x), weight.to(x.dtype), groups=len(CORNERS)))
        return z, per_image(x.shape[-2] * x.shape[-1] * log_det, x)

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The solve."""
        weight, log_det = cached(self, self.kernels.weight_and_log_det)
        check = self.kernels.max_gain is None  # within the bound nothing overflows
        flipped = _flip_groups(z)
        solved = inverse_conv2d(flipped, weight.to(z.dtype), groups=len(CORNERS), check_finite=check)
        x = _flip_groups(solved)
        return x, per_image(-z.shape[-2] * z.shape[-1] * log_det, z)


def _flip_groups(x: Tensor) -> Tensor:
    """Each quarter of the channels as seen from its corner."""
    if x.ndim != 4 or x.shape[1] % len(CORNERS):
        raise ValueError(f"x: must be (B, C, H, W), C a multiple of {len(CORNERS)}, given {tuple(x.shape)}")
    parts = x.chunk(len(CORNERS), dim=1)
    return torch.cat([flip(part, corner) for part, corner in zip(parts, CORNERS, strict=True)], dim=1)
