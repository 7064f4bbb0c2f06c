"""The networks inside couplings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ConvNet"]


class ConvNet(nn.Module):
    """Convolutions 3 x 3, 1 x 1, 3 x 3 with rectifiers between; the last starts at zero.

    in_channels, out_channels, width: of the input, the output and the two hidden layers.
    num_classes: of the labels `(B,)`, int64, that it is conditioned on by a bias per label and hidden channel;
        None for none.

    References
    ----------
    Kingma and Dhariwal, "Glow: Generative Flow with Invertible 1x1 Convolutions", NeurIPS 2018, section 3.3.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, num_classes: int | None = None):
        super().__init__()
        self.entry = nn.Conv2d(in_channels, width, 3, padding=1)
        self.middle = nn.Conv2d(width, width, 1)
        self.exit = nn.Conv2d(width, out_channels, 3, padding=1)
        for layer in (self.entry, self.middle):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)
        self.num_classes = num_classes
        self.labels = None if num_classes is None else nn.Embedding(num_classes, width)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        hidden = self.entry(x)
        if self.labels is not None:
            hidden = hidden + self.labels(self._checked(context, x))[:, :, None, None]
        return self.exit(self.middle(hidden.relu_()).relu_()).to(x.dtype)

    def _checked(self, context: Tensor | None, x: Tensor) -> Tensor:
        if context is None:
            raise ValueError(f"context: this flow is conditional and needs labels of shape ({x.shape[0]},), given none")
        if context.dtype != torch.int64 or context.shape != (x.shape[0],):
            raise ValueError(
                f"context: must be int64 labels of shape ({x.shape[0]},), given {context.dtype} {tuple(context.shape)}"
            )
        return context
