"""Training the flow of `deconv.prior`: patches at all noise levels at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .data import Batch
from .objective import Objective

__all__ = ["NATS_PER_DIM", "build_prior"]

# Noise levels of a batch, one from each of as many equal parts of their logarithm.
_PARTS = 4


def build_prior(*, image_shape: object = None, base: str = "gmm", **config: object) -> nn.Module:
    """An untrained flow over the mixture `base`, which stays as it is. Patches are 8 x 8 whatever `image_shape`."""
    from ..prior import FlowPrior, load_prior

    return FlowPrior(load_prior(base), **config)


def _nats_per_dim(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    from ..prior import cosine_basis

    basis = cosine_basis(model.size).to(model.centres)
    clean = batch.images.flatten(1).to(basis) / 255 @ basis.T
    parts = math.gcd(len(clean), _PARTS)
    place = (torch.arange(parts) + torch.rand(parts, generator=generator, device=generator.device).cpu()) / parts
    levels = model.sigma_min * (model.sigma_max / model.sigma_min) ** place.to(basis)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    noisy = clean + levels.repeat_interleave(len(clean) // parts).unsqueeze(1) * noise
    return -model.patch_log_prob(noisy, levels) / clean.shape[1]


NATS_PER_DIM = Objective("nats/dim", _nats_per_dim)
