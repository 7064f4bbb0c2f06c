"""A step of the prior's flow: details mixed by the inverse of a convolution, then scaled and shifted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nn import InverseConv2d
from ..nn.cache import cached

__all__ = ["DetailStep"]

_CORNERS = ("tl", "br", "tr", "bl")

# A step changes the scale of a detail by at most this factor's exponential.
_LARGEST_LOG_SCALE = 4.0


class DetailStep(nn.Module):
    r"""Transform details, in units of their noise, given the low band, some of their own, and the noise.

    .. math:: (a, b) = A^{-1} d, \qquad b' = (b + t) \, e^{s}, \qquad \mathrm{ladj} = \sum s - \log|\det A|

    where :math:`A^{-1}` is the exact inverse of a causal convolution, with a corner that changes from step to step, and
    s and t come from a small network of what is around. The first step changes all three details, given the low band
    alone, the next ones two given one and one given two by turns.

    The network sees the squares of linear features, and t is a sum of linear features weighted by its output. So t is
    odd and s even: where the image is flat, nothing pulls to either side. Features of the low band sum to zero, so
    brightness does not matter.

    Parameters
    ----------
    number : int
        Of the step, from 0.
    width, depth : int
        Channels and hidden layers of 3 x 3 of the network.
    kernel_size : int
        Of A.
    gates : int
        Linear features that t is made of.
    features : int
        Of the noise.
    """

    def __init__(
        self,
        number: int,
        *,
        width: int,
        depth: int,
        kernel_size: int,
        gates: int,
        features: int,
    ) -> None:
        super().__init__()
        self.given = 0 if number == 0 else 2 - number % 2
        self.changed, self.gates = 3 - self.given, gates
        corner = _CORNERS[number % 4]
        self.convolution = InverseConv2d(3, kernel_size, corner=corner, anchor="plu", check_finite=False)
        out = self.changed * (1 + gates)
        self.energies = nn.Conv2d(self.given + 1, width, 3, bias=False)
        self.linear = nn.Conv2d(self.given + 1, gates, 3, bias=False)
        self.hidden = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth))
        self.last = nn.Conv2d(width, out, 3, padding=1)
        self.noise = nn.ModuleList(nn.Linear(features, m, bias=False) for m in [width] * (depth + 1) + [out])
        for parameter in (*self.last.parameters(), *self.noise.parameters()):
            nn.init.zeros_(parameter)

    @staticmethod
    def least_parameters(width: int, depth: int, kernel_size: int, gates: int) -> int:
        """Numbers that a step certainly has: A, the features, and the hidden layers."""
        return 9 * (kernel_size**2 - 1 + width + gates + depth * width**2)

    def forward(self, details: Tensor, low: Tensor, noise: Tensor, *, compiled: bool = False) -> tuple[Tensor, Tensor]:
        """Details `(B, 3, H, W)`, low band `(B, 1, H, W)`, noise `(B, features)` to the new details and ladj `(B,)`.

        Without `compiled`, torch evaluates the network.
        """
        mixed, ladj = self.convolution(details)
        a, b = self._split(mixed)
        shift, log_scale = self._affine(a, low, noise, compiled)
        return self._join(a, (b + shift) * log_scale.exp()), ladj + log_scale.flatten(1).sum(1)

    def inverse(
        self, transformed: Tensor, low: Tensor, noise: Tensor, *, compiled: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The details again, by a plain convolution, and the ladj of this direction."""
        a, b = self._split(transformed)
        shift, log_scale = self._affine(a, low, noise, compiled)
        details, ladj = self.convolution.inverse(self._join(a, b * (-log_scale).exp() - shift))
        return details, ladj - log_scale.flatten(1).sum(1)

    def _affine(self, a: Tensor, low: Tensor, noise: Tensor, compiled: bool) -> tuple[Tensor, Tensor]:
        """t and s, `(B, changed, H, W)`."""
        image = torch.cat([a, low], 1)
        biases = [layer(noise) for layer in cast(Iterable[nn.Linear], self.noise)]
        shift, raw = self._by_kernels(image, biases) if compiled else self._by_torch(image, biases)
        return shift, _LARGEST_LOG_SCALE * torch.tanh(raw / _LARGEST_LOG_SCALE)

    def _by_torch(self, image: Tensor, biases: list[Tensor]) -> tuple[Tensor, Tensor]:
        """t, and s before its limits."""
        around = F.pad(image, (1, 1, 1, 1), mode="replicate")
        first, *rest, last = (bias[:, :, None, None] for bias in biases)
        hidden = torch.log1p(F.conv2d(around, self._blind_to_means(self.energies)).square()) + first
        for layer, bias in zip(self.hidden, rest, strict=True):
            hidden = F.silu(layer(hidden) + bias)
        raw, weights = (self.last(hidden) + last).split([self.changed, self.changed * self.gates], 1)
        weights = weights.unflatten(1, (self.changed, self.gates))
        linear = F.conv2d(around, self._blind_to_means(self.linear))
        return (weights * linear.unsqueeze(1)).sum(2), raw

    def _by_kernels(self, image: Tensor, biases: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The same."""
        from .compiled.network import Network, shifts_and_scales

        layers = [*cast(Iterable[nn.Conv2d], self.hidden), self.last]
        weights = [layer.weight for layer in layers]

        def make() -> Network:
            return Network(self._blind_to_means(self.energies), self._blind_to_means(self.linear), weights)

        with torch.no_grad():
            network = cached(self, make, "network")
            # Those of the convolutions are no different from those that depend on the noise.
            own = [cast(Tensor, layer.bias) for layer in layers]
            total = [biases[0], *(bias + mine for bias, mine in zip(biases[1:], own, strict=True))]
        return shifts_and_scales(network, image, total, lambda image: self._by_torch(image, biases))

    def _blind_to_means(self, layer: nn.Conv2d) -> Tensor:
        """Filters of the first layer; those of the low band sum to zero."""
        own, low = layer.weight.split([self.given, 1], 1)
        return torch.cat([own, low - low.mean((2, 3), keepdim=True)], 1)

    def _split(self, details: Tensor) -> tuple[Tensor, Tensor]:
        """The given details and those to change: the last two and the first where two are given."""
        first, rest = details.split([3 - self.changed, self.changed] if self.given < 2 else [1, 2], 1)
        return (first, rest) if self.given < 2 else (rest, first)

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b] if self.given < 2 else [b, a], 1)
