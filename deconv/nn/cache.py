"""Weights made from parameters, kept while the parameters stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import nn

__all__ = ["cached", "caches"]

Made = TypeVar("Made")


def caches(module: nn.Module) -> bool:
    """Whether what is made from the parameters will be used again: in evaluation, where no gradient is recorded."""
    return not module.training and not torch.is_grad_enabled()


def cached(module: nn.Module, make: Callable[[], Made], name: str = "weight", *given: Hashable) -> Made:
    """``make()``, which depends on `given` and on the parameters and buffers of `module`; remembered where it `keeps`.

    A parameter that was replaced, moved, or changed in place is noticed (but not a change through ``.data``, which
    PyTorch hides). Under each `name` the latest is kept. While a model is exported, what the last evaluation made
    enters as constants.
    """
    memory = module.__dict__.setdefault("_cached", {})
    if not caches(module):
        memory.clear()
        return make()
    found = memory.get(name)
    if torch.compiler.is_compiling():
        usable = found is not None and found[1] == given and torch.compiler.is_exporting()
        return found[2] if usable else make()
    sources = (*module.parameters(), *module.buffers())
    if any(torch._C._functorch.is_functorch_wrapped_tensor(source) or source.is_inference() for source in sources):
        return make()
    versions = tuple((source.data_ptr(), source._version, source.dtype) for source in sources)
    if found is None or found[:2] != (versions, given):
        found = memory[name] = (versions, given, make())
    return found[2]
