"""Training the flow of `deconv.prior`: crops of photographs at all noise levels at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..prior import FlowPrior, GaussianMixturePrior
from .data import Batch
from .objective import Objective

__all__ = ["DENOISING", "build_prior"]

# The squared error in units of the noise is about 1 / (1 + noise / knee) for photographs: divided by that, all levels
# count alike.
_KNEE = 0.0215

# The weight of a nat a pixel beside it. The likelihood alone learns to denoise more slowly; the error alone leaves free
# how probable an image is.
_LIKELIHOOD = 0.1

# The network knows nothing of what is beyond the border of a crop: pixels that near to it do not count.
_BORDER = 4


def build_prior(*, image_shape: object = None, base: str = "gmm", **config: Any) -> FlowPrior:
    """An untrained flow over the mixture `base`, which stays as it is, for crops of any `image_shape`."""
    return FlowPrior(GaussianMixturePrior.load(base), **config)


def _denoising(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    r"""Denoising score matching and maximum likelihood together, for each image:

    .. math:: (1 + \sigma / \sigma_0) \big( \operatorname{mean}
        (\sigma \nabla \log p_\sigma(x + \sigma\epsilon) + \epsilon)^2
        - 0.1 \, \log p_\sigma(x + \sigma\epsilon) / \#\text{pixels} \big)

    The first of the two is the squared error of Tweedie's denoiser in units of the noise (Vincent, "A connection
    between score matching and denoising autoencoders", Neural Computation 2011).
    """
    if not isinstance(model, FlowPrior):
        raise TypeError(f"model: expected a FlowPrior, given {type(model).__name__}")
    clean = batch.images.to(model.centres) / 255
    place = torch.rand(len(clean), generator=generator, device=generator.device).to(clean)
    place = (torch.arange(len(clean)).to(clean) + place) / len(clean)
    levels = model.sigma_min * (model.sigma_max / model.sigma_min) ** place
    unit = levels.view(-1, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    log_prob, score = model.block_log_prob_and_score(clean + unit * noise, levels)
    error = (unit * score + noise)[..., _BORDER:-_BORDER, _BORDER:-_BORDER].square().flatten(1).mean(1)
    nats = log_prob / clean[0].numel() + levels.log()
    return (1 + levels / _KNEE) * (error - _LIKELIHOOD * nats)


DENOISING = Objective("error", _denoising)
