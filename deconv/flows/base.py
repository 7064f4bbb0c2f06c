"""Base densities of the latent."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

__all__ = ["Logistic", "StandardNormal"]


class StandardNormal(nn.Module):
    r"""Independent normal variables, :math:`\log p(z) = -\frac12 (|z|^2 + D \log 2\pi)`."""

    def log_prob(self, z: Tensor) -> Tensor:
        """`(B, D)` to `(B,)`."""
        return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))

    def sample(
        self, shape: tuple[int, int], *, generator: torch.Generator | None = None, device=None, dtype=None
    ) -> Tensor:
        """`(B, D)`."""
        return torch.randn(shape, generator=generator, device=device, dtype=dtype)


class Logistic(nn.Module):
    r"""Independent logistic variables, :math:`\log p(z) = \sum \log \sigma(z) + \log \sigma(-z)`: longer tails.

    References
    ----------
    Dinh, Krueger and Bengio, "NICE: Non-linear Independent Components Estimation", ICLR 2015 workshop.
    """

    def log_prob(self, z: Tensor) -> Tensor:
        """`(B, D)` to `(B,)`."""
        return (logsigmoid(z) + logsigmoid(-z)).sum(1)

    def sample(
        self, shape: tuple[int, int], *, generator: torch.Generator | None = None, device=None, dtype=None
    ) -> Tensor:
        """`(B, D)`."""
        u = torch.rand(shape, generator=generator, device=device, dtype=dtype)
        least = torch.finfo(u.dtype).tiny  # a uniform variable may be zero, whose quantile is infinite
        return u.clamp_min(least).log() - torch.log1p(-u)
