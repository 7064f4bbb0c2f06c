"""Invertible layers in half precision: it is for storage, computed in it the directions would not be inverse."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from ..solvers.precision import full_precision

__all__ = ["HALF", "at_least_float32", "in_float32", "without_autocast"]

HALF = (torch.float16, torch.bfloat16)

Direction = TypeVar("Direction", bound=Callable[..., Any])


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision as float32; other tensors as they are."""
    return tensor.float() if tensor.dtype in HALF else tensor


def in_float32(method: Direction) -> Direction:
    """One direction of a layer, half precision computed in float32 and cast back; the log-determinant stays float32."""

    @wraps(method)
    def run(self: Any, x: Tensor, *arguments: Any, **options: Any) -> tuple[Tensor, Tensor]:
        if x.dtype not in HALF:
            return method(self, x, *arguments, **options)
        result, ladj = method(self, x.float(), *arguments, **options)
        return result.to(x.dtype), ladj

    return cast("Direction", run)


def without_autocast(method: Direction) -> Direction:
    """One direction of a layer, in float32 at least also under autocast."""
    computed = in_float32(method)

    @wraps(method)
    def run(self: Any, x: Tensor, *arguments: Any, **options: Any) -> tuple[Tensor, Tensor]:
        if not isinstance(x, Tensor):
            raise TypeError(f"x: expected a tensor, given {type(x).__name__}")
        with full_precision(x.device.type):
            return computed(self, x, *arguments, **options)

    return cast("Direction", run)
