"""Tensors made from a module's parameters, such as kernels, cached for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import nn

__all__ = ["cached", "caches"]

Made = TypeVar("Made")


def caches(module: nn.Module) -> bool:
    """Whether tensors made from the parameters are cached: in evaluation mode, while no gradient is recorded."""
    return not module.training and not torch.is_grad_enabled()


def cached(module: nn.Module, make: Callable[[], Made], name: str = "weight", *given: Hashable) -> Made:
    """``make()``, or in evaluation what it gave the last time, while the parameters have not changed.

    A parameter that was replaced, moved, or changed in place is noticed, but not a change through ``.data``, which
    PyTorch hides. An exported program gets what the last evaluation made, as constants.

    Parameters
    ----------
    module : nn.Module
        `make` depends on its parameters and buffers.
    make : callable
        Without arguments; gives a tensor or a nested tuple of tensors.
    name : str
        One result is cached under each name.
    *given : hashable
        What else `make` depends on.
    """
    memory = module.__dict__.setdefault("_cached", {})
    if not caches(module):
        memory.clear()
        return make()
    found = memory.get(name)
    if torch.compiler.is_compiling():
        if found is not None and found[1] == given and torch.compiler.is_exporting():
            return found[2]
        return make()
    sources = (*module.parameters(), *module.buffers())
    if torch._C._are_functorch_transforms_active() or any(source.is_inference() for source in sources):
        return make()
    versions = tuple((source.data_ptr(), source._version, source.dtype) for source in sources)
    if found is None or found[:2] != (versions, given):
        found = memory[name] = (versions, given, make())
    return found[2]
