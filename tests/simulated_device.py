"""A second device on a machine that has none: tensors that say they are elsewhere, and are computed on the CPU.

Inside ``with simulated_device() as device`` tensors may be moved there and back, and factories take ``device=device``.
An operation that mixes tensors of both devices is refused, as on a GPU; scalars without axes may be mixed, as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

__all__ = ["simulated_device"]

DEVICE = torch.device("lazy", 0)  # a name that torch knows, with nothing behind it

# Views whose bit would be lost on the way are computed at once.
AT_ONCE = {
    torch.ops.aten._conj.default: torch.ops.aten.conj_physical.default,
    torch.ops.aten._neg_view.default: torch.ops.aten.neg.default,
}
MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


@contextmanager
def simulated_device() -> Iterator[torch.device]:
    """While it lasts there is another device."""
    autocast = torch.autocast

    def without_autocast(device_type: str, **options: Any) -> Any:
        return nullcontext() if device_type == DEVICE.type else autocast(device_type, **options)

    with _Factories(), _Operations(), mock.patch.object(torch, "autocast", without_autocast):
        yield DEVICE


class _Remote(Tensor):
    """A tensor on the simulated device; `held` are its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> _Remote:
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        return Tensor._make_wrapper_subclass(cls, held.shape, device=DEVICE, **layout)

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        return self.held.new_tensor(data, **options).to(DEVICE)

    def tolist(self) -> Any:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})


class _Factories(TorchFunctionMode):
    """`torch.tensor` makes its storage before any operation is seen."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device") == DEVICE:
            return function(*args, **(kwargs | {"device": "cpu"})).to(DEVICE)
        return function(*args, **kwargs)


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    operation = AT_ONCE.get(operation, operation)
    tensors: list[Tensor] = []

    def held(value: Any) -> Any:
        if isinstance(value, Tensor):
            tensors.append(value)
            return value.held if isinstance(value, _Remote) else value
        return [held(each) for each in value] if isinstance(value, list) else value

    held_args, held_kwargs = [held(each) for each in args], {name: held(each) for name, each in kwargs.items()}
    remote = any(isinstance(each, _Remote) for each in tensors)
    mixed = remote and any(each.ndim and not isinstance(each, _Remote) for each in tensors)
    if mixed and operation not in MOVES:
        raise RuntimeError(f"{operation}: expected all tensors to be on the same device")
    if kwargs.get("device") is not None:
        remote = torch.device(kwargs["device"]) == DEVICE
        held_kwargs["device"] = torch.device("cpu")
    result = operation(*held_args, **held_kwargs)
    if not remote:
        return result
    several = isinstance(result, tuple | list)
    result = type(result)(map(_moved, result)) if several else _moved(result)
    return return_and_correct_aliasing(operation, args, kwargs, result) if tensors else result


def _moved(value: Any) -> Any:
    return _Remote(value) if isinstance(value, Tensor) else value
