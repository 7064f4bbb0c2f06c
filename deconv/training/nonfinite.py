"""Which layer a loss or gradient that is not finite comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LOSS_ITSELF", "first_nonfinite_gradient", "first_nonfinite_layer"]

LOSS_ITSELF = "the loss itself"
"""What `first_nonfinite_layer` says where every layer is fine."""


def first_nonfinite_layer(model: nn.Module, compute: Callable[[], Any]) -> str:
    """Run `compute` again and name the innermost module that first gives a value that is not finite.

    A module that raises FloatingPointError itself counts as well.

    Parameters
    ----------
    model : nn.Module
        Whose modules are watched.
    compute : callable
        Runs the model.

    Returns
    -------
    str
        Name and class of the module, or `LOSS_ITSELF`.
    """
    found: list[str] = []
    running: list[str] = []

    def enter(name: str) -> Callable:
        return lambda module, inputs: running.append(name)

    def leave(name: str) -> Callable:
        def check(module: nn.Module, inputs: Any, outputs: Any) -> None:
            running.pop()
            if not found and not all(_finite(value) for value in _tensors(outputs)):
                found.append(f"layer {name or '(the model)'} ({type(module).__name__})")

        return check

    modules = dict(model.named_modules())
    handles = [module.register_forward_pre_hook(enter(name)) for name, module in modules.items()]
    handles += [module.register_forward_hook(leave(name)) for name, module in modules.items()]
    try:
        with torch.no_grad():
            compute()
    except FloatingPointError as error:
        if running and not found:
            found.append(f"layer {running[-1] or '(the model)'} ({type(modules[running[-1]]).__name__}: {error})")
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else LOSS_ITSELF


def first_nonfinite_gradient(model: nn.Module) -> str:
    """The first parameter whose gradient is not finite, in words."""
    names = (n for n, p in model.named_parameters() if p.grad is not None and not _finite(p.grad))
    return f"the gradient of {next(names, 'no single parameter, but their norm')}"


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    return [t for part in outputs for t in _tensors(part)] if isinstance(outputs, (tuple, list)) else []
