"""Affine coupling, and the split prior, which is one with a smaller network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nn.precision import in_float32
from .layer import Flow
from .networks import ConvNet, as_stored, start_at_zero

__all__ = ["AffineCoupling", "SplitPrior", "halves"]

# No pixel is scaled by more than e to this power, so that neither direction overflows whatever is learnt.
_LARGEST_LOG_SCALE = 3.0


def halves(channels: int) -> tuple[int, int]:
    """How many channels condition a coupling, and how many it changes."""
    if channels < 2:
        raise ValueError(f"channels: a coupling needs at least 2, given {channels}")
    return channels - channels // 2, channels // 2


class _Coupling(Flow):
    """`network` maps the first half of the channels to shifts and raw log-scales of the second."""

    network: ConvNet | _ZeroConv

    def __init__(self, channels: int):
        super().__init__()
        self.sizes = halves(channels)

    def _affine(self, given: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        shift, raw = self.network(given, context).chunk(2, dim=1)
        return shift, _LARGEST_LOG_SCALE * torch.tanh(raw / _LARGEST_LOG_SCALE)

    @in_float32
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        given, changed = x.split(self.sizes, dim=1)
        shift, log_scale = self._affine(given, context)
        return torch.cat([given, (changed + shift) * log_scale.exp()], dim=1), log_scale.sum((1, 2, 3))

    @in_float32
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        given, changed = z.split(self.sizes, dim=1)
        shift, log_scale = self._affine(given, context)
        return torch.cat([given, changed * (-log_scale).exp() - shift], dim=1), -log_scale.sum((1, 2, 3))


class AffineCoupling(_Coupling):
    r"""One half of the channels scales and shifts the other.

    .. math:: z_a = x_a, \quad z_b = (x_b + t) \odot e^s, \quad (t, s) = \mathrm{net}(x_a), \qquad
              \mathrm{ladj} = \sum s

    with :math:`|s| \le 3`, bounded smoothly. Both directions cost one evaluation of the network.

    Parameters
    ----------
    channels : int
        At least 2; the first half, the larger one of an odd number, conditions the second.
    width : int
        Hidden channels of the network.
    num_classes : int, optional
        Makes the coupling conditional on int64 labels `(B,)`, its context.

    References
    ----------
    Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR 2017.
    """

    def __init__(self, channels: int, width: int = 64, *, num_classes: int | None = None):
        super().__init__(channels)
        given, changed = self.sizes
        self.network = ConvNet(given, 2 * changed, width, num_classes)


class SplitPrior(_Coupling):
    r"""Makes the second half of the channels standard normal, given the first, ready to be split off.

    .. math:: z_b = (x_b - \mu(x_a)) / \sigma(x_a)

    with one 3 x 3 convolution for :math:`\mu` and :math:`\log \sigma`, which starts at zero: an affine coupling, so
    that the base density of a model with splits is one standard normal.

    Parameters
    ----------
    channels : int
        At least 2.

    References
    ----------
    Kingma and Dhariwal, "Glow: Generative Flow with Invertible 1x1 Convolutions", NeurIPS 2018.
    """

    def __init__(self, channels: int):
        super().__init__(channels)
        given, changed = self.sizes
        self.network = _ZeroConv(given, 2 * changed)


class _ZeroConv(nn.Conv2d):
    """3 x 3, zero at the start, unconditional."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3, padding=1)
        start_at_zero(self)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(as_stored(x, self)).to(x.dtype)
