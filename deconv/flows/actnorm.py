"""Activation normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nn.precision import in_float32
from .data_dependent import DataDependent
from .layer import per_image

__all__ = ["ActNorm"]


class ActNorm(DataDependent):
    r"""A scale and a shift per channel, started so that the first batch leaves with mean 0 and variance 1.

    .. math:: z = (x - m) \, e^{s}, \qquad \mathrm{ladj} = H W \sum_c s_c

    Both directions are elementwise. The first `forward` in training mode sets `m` and `s` from its batch and marks
    the buffer `initialised`; until then the layer is the identity.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.

    References
    ----------
    Kingma and Dhariwal, "Glow: Generative Flow with Invertible 1x1 Convolutions", NeurIPS 2018, section 3.1.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the parameters from a batch of images; a channel that is constant in it is only shifted.

        Parameters
        ----------
        x : Tensor
            `(B, C, H, W)`.
        """
        deviation, mean = torch.std_mean(x, dim=(0, 2, 3), correction=0)
        self.mean.copy_(mean)
        self.log_scale.copy_(torch.where(deviation > 1e-6, -deviation.clamp_min(1e-6).log(), 0))
        self.initialised.fill_(True)

    @in_float32
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.begin(x)
        mean, log_scale = self.mean.to(x.dtype), self.log_scale.to(x.dtype)
        z = (x - mean[:, None, None]) * log_scale.exp()[:, None, None]
        return z, per_image(x.shape[-2] * x.shape[-1] * log_scale.sum(), x)

    @in_float32
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_scale = self.mean.to(z.dtype), self.log_scale.to(z.dtype)
        x = torch.addcmul(mean[:, None, None], z, (-log_scale).exp()[:, None, None])
        return x, per_image(-z.shape[-2] * z.shape[-1] * log_scale.sum(), z)
