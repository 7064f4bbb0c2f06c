"""Layers that start from the first batch they see."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from .layer import Flow

__all__ = ["DataDependent"]


class DataDependent(Flow):
    """A layer whose parameters are set by the first batch in training mode; the buffer `initialised` says whether.

    `forward` of a subclass begins with ``self.begin(x)``.

    Attributes
    ----------
    initialised : Tensor
        A boolean scalar, part of the `state_dict`.
    """

    initialised: Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("initialised", torch.tensor(False))
        # Read once only: a buffer on an accelerator is slow to look at, and a compiler cannot.
        self._settled = False
        self.register_load_state_dict_post_hook(_look_again)

    @abstractmethod
    def initialise(self, x: Tensor) -> None:
        """Set the parameters from a batch, and mark the layer.

        Parameters
        ----------
        x : Tensor
            What `forward` was given.
        """

    def begin(self, x: Tensor) -> None:
        """Initialise from `x` where no batch with an image in it came before it in training mode.

        Parameters
        ----------
        x : Tensor
            What `forward` was given.
        """
        if self.training and not self._settled and len(x):
            if not self.initialised:
                self.initialise(x)
            self._settled = True

    def forget(self) -> None:
        """Start anew from the next batch in training mode."""
        self.initialised.fill_(False)
        self._settled = False


def _look_again(layer: DataDependent, _) -> None:
    layer._settled = False
