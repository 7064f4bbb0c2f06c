"""Who watches a call of an operator: by its differentiable wrapper, by torch's dispatcher or not at all; and which
forward modes torch would get wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = [
    "is_dispatched",
    "is_tracked",
    "is_transformed",
    "refuse_nested_forward_mode",
    "refuse_tangents",
    "with_signature",
]

_Function = TypeVar("_Function", bound=Callable)


def is_tracked(*operands: Tensor) -> bool:
    """Whether somebody watches a call: autograd, a function transform, forward mode or a compiler."""
    return (
        (torch.is_grad_enabled() and any(operand.requires_grad for operand in operands))
        or torch.compiler.is_compiling()
        or is_transformed()
    )


def is_transformed() -> bool:
    """Whether there are function transforms, or forward mode, which see what detached tensors hide from autograd."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def is_dispatched(*operands: Tensor) -> bool:
    """Whether somebody sees an operator that torch dispatches: a compiler, a mode, a tracer, a profiler, or a tensor
    that is more than its numbers, such as a batch of `vmap`, or has none, on the meta device.

    If not, the implementation is called as the function that it is: dispatching costs as much as a small solve.
    """
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._get_tracing_state() is not None
        or torch._C._autograd._profiler_enabled()  # pyright: ignore[reportAttributeAccessIssue]
        or any(o.is_meta or _keys(o) != _plain_keys(o.device.type) for o in operands)
    )


def _keys(tensor: Tensor) -> int:
    """To what a call with this tensor is dispatched, one after another."""
    return torch._C._dispatch_keys(tensor).raw_repr()


@lru_cache
def _plain_keys(device: str) -> int:
    with torch.inference_mode(False):
        return _keys(torch.empty(0, device=device))


def with_signature(function: _Function) -> _Function:
    """The function with its signature written down: `autograd.Function.apply` asks for that of `forward` in each call,
    and to work it out takes longer than a small solve."""
    function.__signature__ = inspect.signature(function)  # pyright: ignore[reportFunctionMemberAccess]
    return function


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
