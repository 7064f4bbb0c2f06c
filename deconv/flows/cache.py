"""Weights made from parameters, kept while the parameters stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

__all__ = ["is_kept", "kept"]

Made = TypeVar("Made")


def is_kept(module: nn.Module) -> bool:
    """Whether it is worth making more of the weights than their parametrisation asks for: in evaluation only."""
    return not module.training and not torch.is_grad_enabled()


def kept(module: nn.Module, make: Callable[[], Made], name: str = "_kept") -> Made:
    """``make()``, which depends on the parameters and buffers of `module` alone; remembered in evaluation.

    In training, and wherever gradients are recorded, it is made anew each time. A parameter that was changed,
    replaced or moved is noticed. While a model is exported, what the last evaluation made enters as constants.
    """
    if not is_kept(module):
        module.__dict__.pop(name, None)
        return make()
    if torch.compiler.is_compiling():
        kept = module.__dict__.get(name)
        return kept[1] if kept is not None and torch.compiler.is_exporting() else make()
    sources = (*module.parameters(), *module.buffers())
    if any(torch._C._functorch.is_functorch_wrapped_tensor(source) or source.is_inference() for source in sources):
        return make()
    key = tuple((source.data_ptr(), source._version, source.dtype) for source in sources)
    found = module.__dict__.get(name)
    if found is None or found[0] != key:
        found = module.__dict__[name] = (key, make())
    return found[1]
