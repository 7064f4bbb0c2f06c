"""Whether an operator has to be called by its differentiable wrapper."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["is_tracked"]


def is_tracked(*operands: Tensor) -> bool:
    """Whether somebody watches a call: autograd, a function transform, forward mode or a compiler."""
    return (
        (torch.is_grad_enabled() and any(operand.requires_grad for operand in operands))
        or torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
    )
