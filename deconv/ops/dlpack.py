"""Arrays of other libraries, NumPy's and CuPy's, through operations on tensors: by DLPack, hence without a copy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["is_array", "with_tensors"]


def is_array(image: Any) -> bool:
    """Whether `image` is an array that `with_tensors` takes, rather than a tensor."""
    return type(image).__module__.partition(".")[0] in ("numpy", "cupy") and hasattr(image, "__dlpack__")


def with_tensors(operation: Callable[..., Tensor], image: Any, weight: Any, **options) -> Any:
    """``operation(image, weight, **options)`` of an array, as an array of the same library on the same device.

    weight: an array of that library, or a tensor.
    """
    library = sys.modules[type(image).__module__.partition(".")[0]]
    tensors = [operand if isinstance(operand, Tensor) else torch.from_dlpack(operand) for operand in (image, weight)]
    return library.from_dlpack(operation(*tensors, **options).detach())
