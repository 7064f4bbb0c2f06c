"""Bits per dimension, with all its scaling terms, in one place."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..nn.precision import at_least_float32
from .model import FlowModel

__all__ = ["bits_per_dim"]


def bits_per_dim(
    model: FlowModel, images: Tensor, context: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    r"""Negative log-likelihood of whole-number images in bits per dimension, one value per image.

    .. math:: -\frac{\log p(x) + \mathrm{ladj}_{\text{dequantisation}}}{D \log 2}, \qquad D = C H W

    The images are dequantised by ``model.dequantisation``; for uniform noise on 256 levels its ladj is
    ``-8 D log 2``. In expectation over that noise this bounds the images' code length from above. Differentiable: its
    mean is what training minimises.

    Parameters
    ----------
    model : FlowModel
        The density.
    images : Tensor
        `(B, C, H, W)`, whole numbers 0 ... ``model.dequantisation.levels`` - 1, uint8 usually.
    context : Tensor, optional
        Labels `(B,)` of a conditional model.
    generator : torch.Generator, optional
        Source of the dequantisation's noise, on the device of `images`.

    Returns
    -------
    Tensor
        `(B,)`, in the dtype of the parameters, float32 at least.
    """
    x, ladj = model.dequantisation(images, context, generator=generator)
    parameter = next((at_least_float32(parameter) for parameter in model.parameters()), x)
    z, more = model(x.to(parameter.dtype), context)
    return -(model.base.log_prob(z) + more + ladj.to(parameter.dtype)) / (x.shape[1:].numel() * math.log(2))
