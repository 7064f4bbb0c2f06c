"""The networks inside couplings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nn.precision import HALF

__all__ = ["ConvNet", "as_stored", "start_at_zero"]


class ConvNet(nn.Module):
    """Convolutions 3 x 3, 1 x 1, 3 x 3 with rectifiers between; the last starts at zero.

    Parameters
    ----------
    in_channels, out_channels, width : int
        Of the input, the output and the two hidden layers.
    num_classes : int, optional
        Of the labels `(B,)`, int64, that it is conditioned on by a bias per label and hidden channel.

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
            start_at_zero(layer)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        start_at_zero(self.exit)
        self.num_classes = num_classes
        self.labels = None if num_classes is None else nn.Embedding(num_classes, width)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        bias = None if self.labels is None else self._bias(self.labels, context, x)
        some = _images_at_a_time(x, self.middle.in_channels)
        if some >= x.shape[0]:
            return self._evaluate(x, bias)
        biases = [None] * -(-len(x) // some) if bias is None else bias.split(some)
        return torch.cat([self._evaluate(*part) for part in zip(x.split(some), biases, strict=True)])

    def _evaluate(self, x: Tensor, bias: Tensor | None) -> Tensor:
        dtype, x = x.dtype, as_stored(x, self.entry)
        # Convolutions of many channels are 1.3 to 1.7 times as fast with the channels last, which vmap does not know.
        if not torch._C._are_functorch_transforms_active():
            x = x.contiguous(memory_format=torch.channels_last)
        hidden = self.entry(x)
        if bias is not None:
            hidden = hidden + bias
        return self.exit(self.middle(hidden.relu_()).relu_()).to(dtype, memory_format=torch.contiguous_format)

    def _bias(self, labels: nn.Embedding, context: Tensor | None, x: Tensor) -> Tensor:
        if context is None:
            raise ValueError(f"context: this flow is conditional and needs labels of shape ({x.shape[0]},), given none")
        if context.dtype != torch.int64 or context.shape != (x.shape[0],):
            raise ValueError(
                f"context: must be int64 labels of shape ({x.shape[0]},), given {context.dtype} {tuple(context.shape)}"
            )
        try:
            return labels(context)[:, :, None, None]
        except IndexError:  # on an accelerator, an assertion on the device
            low, high = (int(end) for end in context.aminmax())
            raise ValueError(
                f"context: labels must lie in 0 ... {labels.num_embeddings - 1}, given {low} ... {high}"
            ) from None


def as_stored(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """The input of a layer whose parameters are in half precision, in which it computes as under autocast."""
    return x.to(layer.weight.dtype) if layer.weight.dtype in HALF else x


def start_at_zero(layer: nn.Conv2d) -> None:
    """Set the weight and the bias to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


# Values of a hidden layer that stay in the caches of a processor's core.
_CACHED_VALUES = 1 << 19


def _images_at_a_time(x: Tensor, width: int) -> int:
    """Without gradients, nothing asks for the hidden layers of all images of a large batch to be in memory at once."""
    if torch.is_grad_enabled() or x.device.type != "cpu" or torch.compiler.is_compiling():
        return x.shape[0]  # len() would be a constant to torch.export
    return max(1, _CACHED_VALUES // (width * x.shape[-2] * x.shape[-1]))
