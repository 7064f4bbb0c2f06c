"""The unit of Inverse-Flow."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..choices import check_choice
from ..nn.cache import cached
from ..nn.inverse_conv import Anchor, InverseConv2d
from ..nn.precision import without_autocast
from ..ops import causal_conv2d, inverse_conv2d
from ..solvers.geometry import CORNERS, Corner
from .layer import Flow, per_image

__all__ = ["InverseUnit"]


class InverseUnit(Flow):
    r"""Inverse convolutions from several corners, one after the other: `forward` solves, `inverse` convolves.

    .. math:: z = A_{br}^{-1} A_{bl}^{-1} A_{tr}^{-1} A_{tl}^{-1} x

    The anchors are unit triangular by default, and the log-determinant is then exactly zero. Together the four corners
    let every pixel see all others.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    kernel_size : int
        k of the k x k kernels.
    corners : sequence of {"tl", "tr", "bl", "br"}
        In the order of `forward`.
    anchor : {"unit", "plu"}
        See `deconv.InverseConv2d`.
    max_gain : float or None
        Bound on the gain of each solve, see `deconv.InverseConv2d`. None leaves the taps free, and a solve that
        overflows raises `FloatingPointError`.

    References
    ----------
    Nagar and Varma, "Parallel Backpropagation for Inverse of a Convolution with Application to Normalizing Flows",
    AISTATS 2025.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        corners: Sequence[Corner] = CORNERS,
        anchor: Anchor = "unit",
        max_gain: float | None = 10.0,
    ):
        super().__init__()
        for corner in corners:
            check_choice("corners", corner, CORNERS)
        if not corners:
            raise ValueError("corners: needs at least one, given none")
        self.corners = tuple(corners)
        # The kernels of all corners are made at once, as the channel groups of one layer.
        self.kernels = InverseConv2d(
            channels * len(self.corners),
            kernel_size,
            groups=len(self.corners),
            anchor=anchor,
            max_gain=max_gain,
        )

    def weights_and_log_det(self) -> tuple[tuple[Tensor, ...], Tensor]:
        """Kernels of all corners.

        Returns
        -------
        weights : tuple of Tensor
            `(C, C, k, k)` each, in the order of the corners.
        log_det : Tensor
            Sum of the logarithms of their determinants, per pixel; a scalar.
        """
        weight, log_det = self.kernels.weight_and_log_det()
        return weight.chunk(len(self.corners)), log_det

    def convolve(self, z: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Plain convolutions, from the last corner to the first.

        Parameters
        ----------
        z : Tensor
            `(B, C, H, W)`.
        weights : sequence of Tensor
            One kernel for each corner.

        Returns
        -------
        Tensor
            In the shape and dtype of `z`.
        """
        for corner, weight in zip(reversed(self.corners), reversed(weights), strict=True):
            z = causal_conv2d(z, weight.to(z.dtype), corner=corner)
        return z

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The solves."""
        weights, log_det = cached(self, self.weights_and_log_det)
        check = self.kernels.max_gain is None  # within the bound nothing overflows
        z = x
        for corner, weight in zip(self.corners, weights, strict=True):
            z = inverse_conv2d(z, weight.to(z.dtype), corner=corner, check_finite=check)
        return z, per_image(-x.shape[-2] * x.shape[-1] * log_det, x)

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Plain convolutions."""
        weights, log_det = cached(self, self.weights_and_log_det)
        return self.convolve(z, weights), per_image(z.shape[-2] * z.shape[-1] * log_det, z)
