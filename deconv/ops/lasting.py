"""Tables and networks that are kept for later calls, as plain tensors, whatever the call is made in that asks first."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch

__all__ = ["lasting"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def lasting(make: _Function) -> _Function:
    """A function whose tensors outlast the call.

    Made in `torch.inference_mode` they could not be saved for a gradient later on, and made under a transform of
    `torch.func` they would end with it.

    Parameters
    ----------
    make : callable
        Of arguments that are no tensors.

    Returns
    -------
    callable
        The same, outside of inference mode and transforms.
    """
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    @wraps(make)
    def run(*arguments: Any, **options: Any) -> Any:
        if torch.compiler.is_compiling():
            return make(*arguments, **options)
        with torch.inference_mode(False), temporarily_clear_interpreter_stack():
            return make(*arguments, **options)

    return cast("_Function", run)
