"""Base densities of the latent."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

__all__ = ["Logistic", "StandardNormal"]


class Base(nn.Module, ABC):
    """A density of flat latents `(B, D)`.

    Attributes
    ----------
    deviation : float
        Standard deviation of each variable.
    """

    deviation: ClassVar[float]

    def __init__(self):
        super().__init__()

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats, `(B, D)` to `(B,)`."""

    @abstractmethod
    def sample(
        self, shape: tuple[int, int], *, generator: torch.Generator | None = None, device=None, dtype=None
    ) -> Tensor:
        """Latents `(B, D)`."""


class StandardNormal(Base):
    r"""Independent normal variables, :math:`\log p(z) = -\frac12 (|z|^2 + D \log 2\pi)`."""

    deviation = 1.0

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))

    def sample(
        self, shape: tuple[int, int], *, generator: torch.Generator | None = None, device=None, dtype=None
    ) -> Tensor:
        return torch.randn(shape, generator=generator, device=device, dtype=dtype)


class Logistic(Base):
    r"""Independent logistic variables, :math:`\log p(z) = \sum \log \sigma(z) + \log \sigma(-z)`: longer tails.

    References
    ----------
    Dinh, Krueger and Bengio, "NICE: Non-linear Independent Components Estimation", ICLR 2015 workshop.
    """

    deviation = math.pi / math.sqrt(3)

    def log_prob(self, z: Tensor) -> Tensor:
        return (logsigmoid(z) + logsigmoid(-z)).sum(1)

    def sample(
        self, shape: tuple[int, int], *, generator: torch.Generator | None = None, device=None, dtype=None
    ) -> Tensor:
        u = torch.rand(shape, generator=generator, device=device, dtype=dtype)
        least = torch.finfo(u.dtype).tiny  # a uniform variable may be zero, whose quantile is infinite
        return u.clamp_min(least).log() - torch.log1p(-u)
