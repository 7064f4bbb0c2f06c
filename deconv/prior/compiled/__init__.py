"""Where the networks of the prior's flow and their gradients are compiled."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

__all__ = ["networks_are_compiled"]

# Below so many pixels, importing numba and loading what it compiled takes longer than it saves. The size alone decides,
# so that the same image gives the same digits whatever has been imported.
_LEAST_PIXELS = 2**13


def networks_are_compiled(module: nn.Module, image: Tensor, sigma: Tensor) -> bool:
    """Whether those of a flow are, for an image and its noise: on a CPU, and where no gradient asks for parameters."""
    if image.device.type != "cpu" or image.dtype not in (torch.float32, torch.float64):
        return False
    if image.numel() < _LEAST_PIXELS or sigma.requires_grad or any(p.requires_grad for p in module.parameters()):
        return False
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    return _numba_works()


@functools.cache
def _numba_works() -> bool:
    from ...solvers.registry import SOLVERS

    return SOLVERS["compiled"].available()[0]
