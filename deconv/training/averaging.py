"""The exponential moving average of a model's parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["averaged_copy"]


def averaged_copy(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` whose ``update_parameters(model)`` draws it towards the model.

    The decay of update n is ``min(decay, (1 + n) / (10 + n))``, so that the first, poor parameters are soon forgotten.
    Buffers are taken over as they are.
    """

    def update(average: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
        n = float(updates)
        torch._foreach_lerp_(average, current, 1 - min(decay, (1 + n) / (10 + n)))

    copy = AveragedModel(model, multi_avg_fn=torch.no_grad()(update))
    return copy.requires_grad_(False)
