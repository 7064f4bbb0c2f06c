"""The exponential moving average of a model's parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["averaged_copy"]


def averaged_copy(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` whose ``update_parameters(model)`` draws it towards the model.

    The decay of update n is ``min(decay, (1 + n) / (10 + n))``, so that the first, poor parameters are soon forgotten.
    Buffers are taken over as they are.

    Parameters
    ----------
    model : nn.Module
        What is averaged.
    decay : float
        In [0, 1).

    Returns
    -------
    AveragedModel
        The copy is its attribute ``module``.
    """

    @torch.no_grad()
    def update(average: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + float(updates)) / (10 + float(updates)))
        torch._foreach_lerp_(list(average), list(current), weight)  # pyright: ignore[reportPrivateImportUsage]

    return AveragedModel(model, multi_avg_fn=update).requires_grad_(False)
