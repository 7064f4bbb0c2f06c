"""Emerging convolutions."""

from __future__ import annotations

from torch import Tensor

from ..nn import InverseConv2d
from ..nn.precision import without_autocast
from .layer import Flow

__all__ = ["EmergingConvolution"]


class EmergingConvolution(Flow):
    r"""Two masked convolutions in opposite orders, whose product sees a full k x k window: `inverse` solves.

    .. math:: z = A_2 A_1 x

    with :math:`A_1` lower triangular in raster order, channels in order within a pixel, and :math:`A_2` upper
    triangular. Both are solved exactly as half-plane systems. The diagonals are one, and the log-determinant zero: the
    scales that the paper has there are those of the `ActNorm` beside this layer, to the same family of maps.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    kernel_size : int
        k, odd.
    max_gain : float or None
        Bound on the gain of each solve; see `deconv.InverseConv2d`.

    References
    ----------
    Hoogeboom, van den Berg and Welling, "Emerging Convolutions for Generative Normalizing Flows", ICML 2019.
    """

    def __init__(self, channels: int, kernel_size: int = 3, *, max_gain: float | None = 10.0):
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: must be odd, given {kernel_size}")
        window = (kernel_size // 2 + 1, kernel_size)
        self.first, self.second = (
            InverseConv2d(
                channels, window, corner=corner, support="half", max_gain=max_gain, check_finite=max_gain is None
            )
            for corner in ("tl", "br")
        )

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Plain convolutions."""
        middle, ladj = self.first.inverse(x)
        z, more = self.second.inverse(middle.flip(1))
        return z.flip(1), ladj + more

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The solves."""
        middle, ladj = self.second(z.flip(1))
        x, more = self.first(middle.flip(1))
        return x, ladj + more
