"""The masked layers of MintNet."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, softplus

from ..choices import check_choice
from ..nn.precision import at_least_float32, without_autocast
from ..solvers.geometry import flip, padding, support_mask
from .layer import Flow, Sequential

__all__ = ["MintNetLayer", "MintNetUnit"]


class MintNetLayer(Flow):
    r"""A residual network of masked convolutions, monotone in every pixel given those before it.

    .. math:: z = t \odot x + W_3 \tanh(W_2 \tanh(W_1 x + b_1) + b_2) + b_3

    Each channel has `copies` hidden ones. In raster order, and within a pixel in the order of channels, the
    matrices are lower triangular; what connects a channel at a pixel to its own hidden copies there is kept positive,
    as is t. The Jacobian is then triangular, with a positive diagonal that is cheap to compute:

    .. math:: \mathrm{ladj} = \sum \log\left(t + \sum_{k l} w_{3, k} \tanh'_k w_{2, k l} \tanh'_l w_{1, l}\right)

    `forward` is three convolutions. `inverse` iterates :math:`x \leftarrow x - D(x)^{-1} (f(x) - z)` with the
    Jacobian's diagonal D until the residual vanishes; it raises rather than return a wrong image, and is not
    differentiable.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    kernel_size : int
        k, odd; of the half-plane kernels `(k // 2 + 1, k)`.
    copies : int
        Hidden channels per channel.
    corner : {"tl", "br"}
        ``"tl"`` for raster order, ``"br"`` for the opposite one, of channels too.
    tolerance : float, optional
        On the residual, relative to ``1 + max |z|``; by default 50 units of rounding.
    iterations : int
        At most so many.

    Raises
    ------
    RuntimeError
        In `inverse`, where the fixed point was not reached.

    References
    ----------
    Song, Meng and Ermon, "MintNet: Building Invertible Neural Networks with Masked Convolutions", NeurIPS 2019. There
    the activation is ELU; an odd one makes it no restriction that all the diagonal weights are positive.
    """

    corner: Literal["tl", "br"]

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        copies: int = 4,
        corner: Literal["tl", "br"] = "tl",
        tolerance: float | None = None,
        iterations: int = 2000,
    ):
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: must be odd, given {kernel_size}")
        check_choice("corner", corner, ("tl", "br"))
        self.channels, self.copies, self.corner = channels, copies, corner
        self.tolerance, self.iterations = tolerance, iterations
        window = (kernel_size // 2 + 1, kernel_size)
        self.padding = padding(*window, "half")

        hidden = channels * copies
        sizes = ((channels, hidden), (hidden, hidden), (hidden, channels))
        self.weights, self.diagonals, self.biases = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for index, (inputs, outputs) in enumerate(sizes):
            before = support_mask(*window, "half")
            before[-1, kernel_size // 2] = False
            strictly = torch.ones(channels, channels).tril(-1).bool()
            mask = before.expand(outputs, inputs, *window).clone()
            mask[:, :, -1, kernel_size // 2] = strictly.repeat_interleave(outputs // channels, 0).repeat_interleave(
                inputs // channels, 1
            )
            self.register_buffer(f"mask_{index}", mask, persistent=False)
            fan = inputs * before.sum().clamp_min(1)
            scale = 0.1 if index == 2 else 1.0
            self.weights.append(nn.Parameter(scale * torch.randn(outputs, inputs, *window) / fan.sqrt()))
            shape = (channels, outputs // channels, inputs // channels)
            self.diagonals.append(nn.Parameter(torch.randn(shape) - 1))
            self.biases.append(nn.Parameter(torch.zeros(outputs)))
        self.slope = nn.Parameter(torch.full((channels,), 0.5))

    def _positive(self) -> list[Tensor]:
        """Diagonal blocks `(C, copies out, copies in)`; their product stays of order one."""
        return [softplus(at_least_float32(diagonal)) / diagonal.shape[-1] for diagonal in self.diagonals]

    def _convolve(self, x: Tensor, index: int, block: Tensor) -> Tensor:
        weight = at_least_float32(self.weights[index]) * getattr(self, f"mask_{index}")
        centre = torch.zeros_like(weight[0, 0])
        centre[-1, weight.shape[-1] // 2] = 1
        weight = weight + torch.block_diag(*block)[:, :, None, None] * centre
        padded = torch.nn.functional.pad(x, self.padding)
        return conv2d(padded, weight.to(x.dtype), self.biases[index].to(x.dtype))

    def _evaluate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The image of `x` and the diagonal of the Jacobian."""
        blocks = self._positive()
        first = torch.tanh(self._convolve(x, 0, blocks[0]))
        second = torch.tanh(self._convolve(first, 1, blocks[1]))
        slope = softplus(at_least_float32(self.slope)).to(x.dtype)[:, None, None] + 0.1
        z = slope * x + self._convolve(second, 2, blocks[2])

        def slopes(activation: Tensor) -> Tensor:
            return (1 - activation.square()).unflatten(1, (self.channels, self.copies))

        one, two, three = (block.to(x.dtype) for block in blocks)
        chain = torch.einsum("ckl,bclhw->bckhw", two, slopes(first) * one[:, :, 0, None, None])
        diagonal = slope + torch.einsum("ck,bckhw->bchw", three[:, 0], slopes(second) * chain)
        return z, diagonal

    def _oriented(self, x: Tensor) -> Tensor:
        return x if self.corner == "tl" else flip(x, self.corner).flip(1)

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, diagonal = self._evaluate(self._oriented(x))
        return self._oriented(z), diagonal.log().sum((1, 2, 3))

    @without_autocast
    @torch.no_grad()
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = self._oriented(z)
        tolerance = 50 * torch.finfo(z.dtype).eps if self.tolerance is None else self.tolerance
        x = z.clone()
        for _ in range(self.iterations):
            reached, diagonal = self._evaluate(x)
            residual = reached - z
            # Each image on its own, so that none depends on the rest of its batch.
            error = residual.abs().amax((1, 2, 3)) / (1 + z.abs().amax((1, 2, 3)))
            open_ = ~(error <= tolerance)
            if not open_.any():
                return self._oriented(x), -diagonal.log().sum((1, 2, 3))
            x = torch.where(open_[:, None, None, None], x - residual / diagonal, x)
        raise RuntimeError(
            f"MintNetLayer: the inverse did not converge in {self.iterations} iterations, the relative residual is "
            f"still {float(error.max()):.3g} with a tolerance of {tolerance:.3g}"
        )


class MintNetUnit(Sequential):
    """Two `MintNetLayer` in opposite orders, so that every pixel sees a full window.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    kernel_size : int
        k, odd.
    copies : int
        Hidden channels per channel.
    tolerance : float, optional
        Of the inverse, see `MintNetLayer`.
    iterations : int
        Of the inverse, at most so many in each layer.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        copies: int = 4,
        tolerance: float | None = None,
        iterations: int = 2000,
    ):
        layer = partial(MintNetLayer, channels, kernel_size, copies=copies, tolerance=tolerance, iterations=iterations)
        super().__init__(layer(corner="tl"), layer(corner="br"))
