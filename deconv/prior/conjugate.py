"""Couplings that see a patch through the inverse of a convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..flows import Flow
from ..nn import InverseConv2d

__all__ = ["Conjugate", "NoiseCoupling"]

# A step changes a coefficient's scale by no more than this factor's exponential.
_MOST = 0.5


class Conjugate(Flow):
    r"""A map g in the coordinates that an inverse convolution gives:

    .. math:: f = A \circ g \circ A^{-1}, \qquad \log|\det f'(x)| = \log|\det g'(A^{-1} x)|

    Going there is the exact solve, coming back the convolution; what they do to volumes cancels. If g is the identity,
    f is it, too.

    convolution: :math:`A^{-1}`. inner: g, on flat vectors.
    """

    def __init__(self, convolution: InverseConv2d, inner: Flow) -> None:
        super().__init__()
        self.convolution, self.inner = convolution, inner

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._between(x, lambda z: self.inner(z, context))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._between(z, lambda x: self.inner.inverse(x, context))

    def _between(self, x: Tensor, change) -> tuple[Tensor, Tensor]:
        inside, _ = self.convolution(x)
        changed, ladj = change(inside.flatten(1))
        back, _ = self.convolution.inverse(changed.view_as(x))
        return back, ladj


class NoiseCoupling(Flow):
    r"""Affine coupling of vectors in units of their noise, conditional on the noise.

    .. math:: b' = b \, e^{s} + t, \qquad (s, t) = \mathrm{net}(\operatorname{asinh} a), \qquad |s| \le 1/2,
        \qquad \mathrm{ladj} = \sum s

    In units of the noise no density varies faster than over about 1, and its large values matter as their logarithm
    does. It starts as the identity.

    Parameters
    ----------
    dimensions: of the vectors; one half is given, the other one changed.
    width: of the two hidden layers.
    features: of the context, `(B, features)`, or `(1, features)` for all.
    swap: give the second half, and change the first.

    References
    ----------
    Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR 2017.
    """

    def __init__(self, dimensions: int, width: int, features: int, *, swap: bool = False) -> None:
        super().__init__()
        self.first, self.swap = dimensions - dimensions // 2, swap
        given, changed = self.first, dimensions - self.first
        if swap:
            given, changed = changed, given
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in ((given, width), (width, width), (width, 2 * changed)))
        self.noise = nn.ModuleList(nn.Linear(features, m, bias=False) for m in (width, width, 2 * changed))
        for layer in (self.layers[-1], self.noise[-1]):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def _affine(self, a: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and log-scale."""
        hidden = torch.asinh(a)
        for layer, noise in zip(self.layers, self.noise, strict=True):
            if layer is not self.layers[0]:
                hidden = nn.functional.silu(hidden)
            hidden = layer(hidden) + noise(context)
        shift, raw = hidden.chunk(2, dim=1)
        return shift, _MOST * torch.tanh(raw)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The given half and the other one."""
        halves = x[:, : self.first], x[:, self.first :]
        return halves[::-1] if self.swap else halves

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([b, a] if self.swap else [a, b], dim=1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = self._split(x)
        shift, log_scale = self._affine(a, context)
        return self._join(a, b * log_scale.exp() + shift), log_scale.sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = self._split(z)
        shift, log_scale = self._affine(a, context)
        return self._join(a, (b - shift) * (-log_scale).exp()), -log_scale.sum(1)
