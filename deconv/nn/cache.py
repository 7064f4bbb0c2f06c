"""Tensors made from a module's parameters, such as kernels, cached for evaluation.

A cached tensor is used as long as every parameter and buffer holds the values that it was made from. The values are
compared, since neither addresses nor version counters of tensors tell of all changes: writing through ``.data`` (the
usual way to put averaged weights in) and fused optimisers leave both as they were.

A layer by itself compares at every use on a CPU, where that costs less than a small convolution. On an accelerator the
host would have to wait for the answer; there the tensor is made at every use. A model (`compared_once`) compares for
all its layers together, once per call, and waits once.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import wraps
from operator import is_
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn

__all__ = ["cached", "caches", "compared_once"]

Made = TypeVar("Made")
Function = TypeVar("Function", bound=Callable[..., Any])


def caches(module: nn.Module) -> bool:
    """Whether tensors made from the parameters may be cached: in evaluation mode, while no gradient is recorded."""
    return not module.training and not torch.is_grad_enabled()


def cached(module: nn.Module, make: Callable[[], Made], name: str = "weight", *given: Hashable) -> Made:
    """``make()``, or in evaluation what it gave before, if the parameters have the same values still.

    Every change is noticed: in place, through ``.data``, by an optimiser, by loading a state, by another parameter,
    dtype or device. Under transforms of `torch.func`, in compiled code and while a CUDA graph is captured the tensor is
    made at every use. An exported program holds what the last evaluation made, as constants.

    Parameters
    ----------
    module : nn.Module
        `make` depends on its parameters and persistent buffers.
    make : callable
        Without arguments; gives a tensor or nested tuples of tensors.
    name : str
        One result is cached under each name.
    *given : hashable
        What else `make` depends on.
    """
    if not caches(module):
        return make()
    if torch.compiler.is_compiling():
        found = _RESULTS.get(module, {}).get(name) if torch.compiler.is_exporting() else None
        return make() if found is None or found.given != given else found.value
    if torch._C._are_functorch_transforms_active():
        return make()
    results = _RESULTS.setdefault(module, {})
    found = results.get(name)
    call = _CALL.model
    if call is not None:
        if found is None or found.given != given or found.source is not call.state:
            call.add(module)
            found = results[name] = _Result(make(), given, call.state)
        return found.value
    if not _readable(module) or any(not parameter.is_cpu for parameter in module.parameters()):
        return make()
    if found is None or found.given != given or not (isinstance(found.source, _Snapshot) and found.source.holds()):
        found = results[name] = _Result(make(), given, _Snapshot([module]))
    return found.value


def compared_once(function: Function) -> Function:
    """A function of a module which compares, for all that is cached by its layers, once at the beginning of a call.

    Nothing may change the parameters during the call.
    """

    @wraps(function)
    def run(module: nn.Module, *arguments: Any, **options: Any) -> Any:
        if not caches(module) or torch.compiler.is_compiling() or _CALL.model is not None or not _readable(module):
            return function(module, *arguments, **options)
        model = _CALL.model = _MODELS.setdefault(module, _Model())
        try:
            model.begin()
            result = function(module, *arguments, **options)
            model.end()
            return result
        finally:
            _CALL.model = None

    return cast("Function", run)


class _Snapshot:
    """The tensors of some modules, where they lie in memory, and their values."""

    def __init__(self, modules: Iterable[nn.Module]):
        slots = [slot for module in modules for slot in _slots(module)]
        self._owners, self._names, self._contents = zip(*slots, strict=True) if slots else ((), (), ())
        self._tensors = [content for content in self._contents if isinstance(content, Tensor)]
        self._places = self._locate()
        self._on_cpu = all(tensor.is_cpu for tensor in self._tensors)
        # A thousand operations of torch would take longer than to read the memory itself, as is done on a CPU.
        self._windows = [_window(tensor) for tensor in self._tensors] if self._on_cpu else []
        self._values = self._read()

    def holds(self) -> bool:
        """Whether the modules have the same tensors still, with the same values."""
        contents = map(dict.get, self._owners, self._names)
        if not all(map(is_, contents, self._contents)) or self._locate() != self._places:
            return False
        now, then = self._read(), self._values
        return now == then if self._on_cpu else all(map(torch.equal, now, then))

    def _locate(self) -> tuple[list[int], list[tuple[int, ...]]]:
        return list(map(Tensor.data_ptr, self._tensors)), list(map(Tensor.stride, self._tensors))

    def _read(self) -> Any:
        """All values in one string of bytes; on accelerators in one tensor of bytes for each."""
        if self._on_cpu:
            return b"".join(self._windows)
        devices = dict.fromkeys(tensor.device for tensor in self._tensors)
        return [
            torch.cat([t.detach().contiguous().view(-1).view(torch.uint8) for t in self._tensors if t.device == device])
            for device in devices
        ]


def _window(tensor: Tensor) -> ctypes.Array:
    """The memory that a tensor on the CPU lies in. Only to be read while the tensor lies there."""
    span = 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    length = span * tensor.element_size() if tensor.numel() else 0
    return (ctypes.c_char * length).from_address(tensor.data_ptr())


class _Result(NamedTuple):
    """What was made, and from what: copies of it, or the state of the model it was made in."""

    value: Any
    given: tuple[Hashable, ...]
    source: object


class _Model:
    """The layers of a model that cache; `state` is another object after every change of their parameters."""

    def __init__(self):
        self.state = object()
        self._modules: WeakSet[nn.Module] = WeakSet()
        self._snapshot: _Snapshot | None = None

    def add(self, module: nn.Module) -> None:
        self._modules.add(module)
        self._snapshot = None

    def begin(self) -> None:
        if self._snapshot is None or not self._snapshot.holds():
            self.state = object()
            self._snapshot = None

    def end(self) -> None:
        if self._snapshot is None:
            self._snapshot = _Snapshot(self._modules)


class _Call(threading.local):
    """The model that is being called, if its layers need not compare."""

    model: _Model | None = None


_RESULTS: WeakKeyDictionary[nn.Module, dict[str, _Result]] = WeakKeyDictionary()
_MODELS: WeakKeyDictionary[nn.Module, _Model] = WeakKeyDictionary()
_CALL = _Call()


def _readable(module: nn.Module) -> bool:
    """Whether the parameters have values that can be read: real tensors, and no CUDA graph is being captured."""
    tensor = next(module.parameters(), None)
    if tensor is None or tensor.is_cpu:
        return type(tensor) in (nn.Parameter, type(None))
    return not tensor.is_meta and not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())


Slot = tuple[dict[str, Any], str, Any]


def _slots(module: nn.Module) -> Iterator[Slot]:
    """Where the parameters, persistent buffers and children of a module are entered, and what is there now; and plain
    tensors that took the place of parameters, as in replicas, and where another network makes them."""
    constant = module._non_persistent_buffers_set
    for owner in (module._parameters, module._buffers, module._modules):
        for name, content in owner.items():
            if content is not None and not (owner is module._buffers and name in constant):
                yield owner, name, content
    for name, content in vars(module).items():
        if isinstance(content, Tensor) and content.layout is torch.strided and not content.is_meta:
            yield vars(module), name, content
    for child in module.children():
        yield from _slots(child)
