"""Base densities of the latent."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["StandardNormal"]


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
