"""What is minimised: a named figure for each image, and how a model is initialised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .data import Batch

__all__ = ["Criterion", "Loss", "Objective"]

Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor]


@dataclass(frozen=True)
class Objective:
    """What is minimised, as a figure for each image.

    Parameters
    ----------
    name : str
        Of the figure, with its unit: ``"bits/dim"``.
    loss : callable
        ``loss(model, batch, generator)``, the figure of each image, `(B,)`, differentiable; whatever is random in it
        comes from the generator, on the device of the images.
    initialise : callable, optional
        ``initialise(model, batch, generator)`` sets what is taken from the first batch; called once, without
        gradients, before the first step.
    capturable : bool
        The host reads no values in `loss`, so that a CUDA graph can hold a training step.
    """

    name: str
    loss: Loss
    initialise: Callable[[nn.Module, Batch, torch.Generator], None] | None = None
    capturable: bool = False


class Criterion(nn.Module):
    """Model and loss as one module, so that `DistributedDataParallel` sees the whole forward pass."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self.loss(self.model, batch, generator).mean()
