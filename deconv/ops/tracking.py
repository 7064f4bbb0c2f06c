"""Whether an operator has to be called by its differentiable wrapper, and which forward modes torch would get wrong."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["is_tracked", "refuse_nested_forward_mode", "refuse_tangents"]


def is_tracked(*operands: Tensor) -> bool:
    """Whether somebody watches a call: autograd, a function transform, forward mode or a compiler."""
    return (
        (torch.is_grad_enabled() and any(operand.requires_grad for operand in operands))
        or torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
    )


def refuse_nested_forward_mode() -> None:
    """Raise in the `jvp` of an `autograd.Function` under two nested forward modes: torch drops the outer tangents
    there, without a word (https://github.com/pytorch/pytorch/issues/197867)."""
    from torch._functorch.pyfunctorch import JvpInterpreter, retrieve_all_functorch_interpreters

    if sum(isinstance(level, JvpInterpreter) for level in retrieve_all_functorch_interpreters()) > 1:
        raise NotImplementedError(
            "forward mode over forward mode: torch computes it wrong here; take reverse mode for one of the two, such "
            "as torch.func.jacfwd(torch.func.jacrev(...))"
        )


def refuse_tangents(*operands: Tensor) -> None:
    """Raise if an operand has a tangent, in an operator without forward mode: torch would take it for a constant."""
    if not torch._C._is_fwd_grad_enabled() or forward_ad._current_level < 0:
        return
    if any(forward_ad.unpack_dual(operand).tangent is not None for operand in operands):
        raise NotImplementedError(
            "forward mode through a compiled graph, or the bare operator: call the function of deconv, uncompiled"
        )
