"""The first layer of a model: images in [0, 1] centred, or mapped to all real numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..nn.precision import in_float32
from .layer import Flow

__all__ = ["Centre", "Logit"]


class Centre(Flow):
    """``z = x - 1/2``: images in [0, 1] around zero; ladj 0."""

    @in_float32
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x - 0.5, x.new_zeros(x.shape[0])

    @in_float32
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z + 0.5, z.new_zeros(z.shape[0])


class Logit(Flow):
    r"""Images in [0, 1] to all real numbers.

    .. math:: z = \log\frac{s}{1 - s}, \quad s = \alpha + (1 - 2 \alpha) x, \qquad
              \mathrm{ladj} = \sum \log(1 - 2 \alpha) - \log s - \log(1 - s)

    Parameters
    ----------
    alpha : float
        In (0, 1/2); keeps the logarithms finite at black and white.

    References
    ----------
    Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR 2017, section 4.1.
    """

    def __init__(self, alpha: float = 0.05):
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"alpha: must lie in (0, 0.5), given {alpha}")
        self.alpha = alpha

    @in_float32
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        squeezed = self.alpha + (1 - 2 * self.alpha) * x
        low, high = squeezed.log(), torch.log1p(-squeezed)
        ladj = (math.log(1 - 2 * self.alpha) - low - high).flatten(1).sum(1)
        return low - high, ladj

    @in_float32
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)
        ladj = (logsigmoid(z) + logsigmoid(-z) - math.log(1 - 2 * self.alpha)).flatten(1).sum(1)
        return x, ladj
