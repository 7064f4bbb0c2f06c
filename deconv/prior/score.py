"""The gradient of a log-density, by whatever differentiates: autograd, or a transform of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..ops.tracking import is_transformed

__all__ = ["log_prob_and_score"]


def log_prob_and_score(
    log_prob: Callable[[Tensor], Tensor], x: Tensor, *, training: bool = False
) -> tuple[Tensor, Tensor]:
    """A log-density and its gradient, themselves differentiable where that of `x` is asked for.

    Parameters
    ----------
    log_prob : callable
        Nats of each sample.
    x : Tensor
        Samples, along the first axis.
    training : bool
        Whether gradients of parameters are asked for, too.

    Returns
    -------
    log_prob : Tensor
        At `x`.
    score : Tensor
        Of the shape of `x`.
    """
    if is_transformed():

        def total(x: Tensor) -> tuple[Tensor, Tensor]:
            values = log_prob(x)
            return values.sum(), values

        score, values = torch.func.grad(total, has_aux=True)(x)
        return values, score
    further = torch.is_grad_enabled() and (training or x.requires_grad)
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        values = log_prob(x)
        (score,) = torch.autograd.grad(values.sum(), x, create_graph=further)
    return values, score
