"""The convolution of CInC Flow."""

from __future__ import annotations

from torch import Tensor

from ..nn.inverse_conv import Anchor, InverseConv2d
from ..nn.precision import without_autocast
from ..solvers.geometry import Corner
from .layer import Flow

__all__ = ["CIncConvolution"]


class CIncConvolution(Flow):
    """One convolution padded on two sides: `forward` convolves, `inverse` solves.

    It is invertible if and only if its anchor tap is an invertible channel matrix; here a unit triangular one, so that
    the log-determinant is zero.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    kernel_size : int
        k of the k x k kernel.
    corner : {"tl", "tr", "bl", "br"}
        Where the pixels lie that a pixel sees.
    anchor : {"unit", "plu"}
        See `deconv.InverseConv2d`, of which this is the inverse.
    max_gain : float or None
        Bound on the gain of the solve; see `deconv.InverseConv2d`.

    References
    ----------
    Nagar, Dufraisse and Varma, "CInC Flow: Characterizable Invertible 3 x 3 Convolution", 2021.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        corner: Corner = "tl",
        anchor: Anchor = "unit",
        max_gain: float | None = 10.0,
    ):
        super().__init__()
        self.solve = InverseConv2d(
            channels, kernel_size, corner=corner, anchor=anchor, max_gain=max_gain, check_finite=max_gain is None
        )

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A plain convolution."""
        return self.solve.inverse(x)

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The solve."""
        return self.solve(z)
