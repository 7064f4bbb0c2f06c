"""Full precision where autocast would lower it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import wraps
from typing import Any, TypeVar, cast

import torch

__all__ = ["full_precision", "in_full_precision"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def full_precision(device: str) -> AbstractContextManager:
    """A context without autocast on a type of device: it would turn the products of a solve to half precision.

    (Switching it off is not free.)
    """
    lowered = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if lowered else nullcontext()


def in_full_precision(function: _Function) -> _Function:
    """A function without autocast on the devices that its arguments may be on."""

    @wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        with ExitStack() as stack:
            for device in ("cpu", "cuda"):
                stack.enter_context(full_precision(device))
            return function(*arguments, **options)

    return cast("_Function", run)
