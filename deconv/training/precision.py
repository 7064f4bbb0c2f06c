"""Lower precision where it is safe: in the networks inside the layers, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..flows.networks import ConvNet

__all__ = ["networks_in"]


@contextmanager
def networks_in(model: nn.Module, precision: str) -> Iterator[None]:
    """Run the networks of `model` in ``"bfloat16"`` by autocast; ``"float32"`` changes nothing.

    What a network gives scales and shifts, in float32, an image that must be recovered exactly: an error in the
    network is the same in both directions and cancels, an error in the layer would not.
    """
    if precision == "float32":
        yield
        return
    dtype = getattr(torch, precision)
    handles = []
    for module in model.modules():
        if isinstance(module, ConvNet):
            lowered: list[torch.autocast] = []

            def enter(module: nn.Module, inputs: tuple, lowered: list = lowered) -> None:
                lowered.append(torch.autocast(inputs[0].device.type, dtype))
                lowered[-1].__enter__()

            def leave(module: nn.Module, inputs: tuple, output: object, lowered: list = lowered) -> None:
                if lowered:
                    lowered.pop().__exit__(None, None, None)

            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
