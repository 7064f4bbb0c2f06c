"""Masked convolutional flow."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, pad

from ..choices import check_choice
from ..nn.precision import in_float32
from .layer import Flow, Sequential
from .networks import as_stored, start_at_zero

__all__ = ["MaCowUnit", "MaskedAffine"]

Order = Literal["top", "bottom", "left", "right"]
ORDERS: tuple[Order, ...] = get_args(Order)

# Neither direction scales a pixel by more than e to this power.
_LARGEST_LOG_SCALE = 2.0


class MaskedAffine(Flow):
    r"""Every row is scaled and shifted as the rows before it say.

    .. math:: z_i = (x_i + t_i) \odot e^{s_i}, \quad
              (t_i, s_i) = \mathrm{net}(x_{i-r}, \dots, x_{i-1}), \qquad \mathrm{ladj} = \sum s

    `forward` treats all rows at once; `inverse` goes row by row, all pixels of a row in parallel.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    window : tuple of int
        `(r, k)`: rows before, and the odd number of columns around a pixel, that it sees.
    order : {"top", "bottom", "left", "right"}
        Where the rows before lie; for ``"left"`` and ``"right"`` they are columns.
    width : int
        Hidden channels of the network: a masked convolution and two 1 x 1 convolutions, the last zero at the start.

    References
    ----------
    Ma, Kong, Zhang and Hovy, "MaCow: Masked Convolutional Generative Flow", NeurIPS 2019.
    """

    def __init__(self, channels: int, window: tuple[int, int], *, order: Order = "top", width: int = 32):
        super().__init__()
        check_choice("order", order, ORDERS)
        self.before, around = window
        if self.before < 1 or around < 1 or around % 2 == 0:
            raise ValueError(f"window: must be at least one row and an odd number of columns, given {window}")
        self.order = order
        self.entry = nn.Conv2d(channels, width, (self.before, around))
        self.middle = nn.Conv2d(width, width, 1)
        self.exit = nn.Conv2d(width, 2 * channels, 1)
        start_at_zero(self.exit)

    def _oriented(self, x: Tensor) -> Tensor:
        """The image with the rows before on top."""
        if self.order in ("left", "right"):
            x = x.mT
        return x.flip(-2) if self.order in ("bottom", "right") else x

    def _restored(self, x: Tensor) -> Tensor:
        x = x.flip(-2) if self.order in ("bottom", "right") else x
        return x.mT if self.order in ("left", "right") else x

    def _affine(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and log-scale of the rows below each window of `before` rows."""
        columns = self.entry.kernel_size[1] // 2
        hidden = elu(self.entry(pad(as_stored(rows, self.entry), (columns, columns, 0, 0))))
        shift, raw = self.exit(elu(self.middle(hidden))).to(rows.dtype).chunk(2, dim=1)
        return shift, _LARGEST_LOG_SCALE * torch.tanh(raw / _LARGEST_LOG_SCALE)

    @in_float32
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self._oriented(x)
        shift, log_scale = self._affine(pad(x, (0, 0, self.before, -1)))
        return self._restored((x + shift) * log_scale.exp()), log_scale.sum((1, 2, 3))

    @in_float32
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = self._oriented(z)
        total = z.new_zeros(z.shape[0])
        rows = [torch.zeros_like(z[:, :, :1])] * self.before
        for z_row in z.split(1, dim=-2):
            shift, log_scale = self._affine(torch.cat(rows[-self.before :], dim=-2))
            rows.append(z_row * (-log_scale).exp() - shift)
            total = total - log_scale.sum((1, 2, 3))
        return self._restored(torch.cat(rows[self.before :], dim=-2)), total


class MaCowUnit(Sequential):
    """Masked affine layers from all four sides, which together see a k x k window.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    kernel_size : int
        k, odd and at least 3; each layer sees k // 2 rows (or columns) before a pixel and k pixels across.
    width : int
        Hidden channels of the networks, see `MaskedAffine`.
    """

    def __init__(self, channels: int, kernel_size: int = 3, *, width: int = 32):
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: must be odd and at least 3, given {kernel_size}")
        window = (kernel_size // 2, kernel_size)
        super().__init__(*(MaskedAffine(channels, window, order=order, width=width) for order in ORDERS))
