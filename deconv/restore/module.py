"""Restoration methods as layers of a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Restoration", "method_named"]


def method_named(method: str | Callable[..., Any]) -> Callable[..., Any]:
    """The restoration function of that name in `deconv.restore`; a function is returned as it is."""
    if callable(method):
        return method
    package = import_module(__package__)
    names = [name for name in package.__all__ if hasattr(getattr(package, name), "scenes")]
    if method not in names:
        raise ValueError(f"method: unknown {method!r}, allowed are {', '.join(names)}")
    return getattr(package, method)


class Restoration(nn.Module):
    r"""A restoration method as a layer: ``forward(image, psf)``.

    The iterations are unrolled, so the result is differentiable in the image, in the psf, in the learnable numbers
    and in the parameters of a denoiser, to all that calculus allows: thresholds count as fixed where they decide,
    and what a method estimates from the image (noise, contrast, automatic weights) as constant. `torch.func`'s
    ``grad``, ``vjp``, ``jvp`` and ``jacrev`` work on `torch.func.functional_call` of it; samples come as a batch,
    not through ``vmap``.

    Parameters
    ----------
    method: a function of `deconv.restore`, or its name.
    learn: which of the options are learnt. They are positive numbers, `weight`, `tv`, `noise_to_signal` or `sigma`
        say, and stay positive: their logarithms are the layer's parameters.
    options: the method's keywords; a module among them, a denoiser say, becomes a submodule, a tensor a buffer.

    Raises
    ------
    ValueError: unknown method, or a learnt option without a positive number to begin with.
    TypeError: an option that the method does not have.

    Examples
    --------
    >>> layer = Restoration("total_variation", weight=0.01, num_iter=10, learn=["weight"])
    >>> [name for name, _ in layer.named_parameters()]
    ['logarithms.weight']
    >>> tuple(layer(torch.rand(2, 3, 16, 16), torch.full((3, 3), 1 / 9)).shape)
    (2, 3, 16, 16)
    """

    def __init__(self, method: str | Callable[..., Any], *, learn: Iterable[str] = (), **options: Any) -> None:
        super().__init__()
        self.method = method_named(method)
        taken = list(inspect.signature(self.method).parameters)[2:]
        learnt = [learn] if isinstance(learn, str) else list(learn)
        for name in [*options, *learnt]:
            if name not in taken:
                raise TypeError(f"{name}: {self.method.__name__} does not take it; it takes {', '.join(taken)}")
        self.logarithms = nn.ParameterDict({name: _logarithm(name, options.pop(name, None)) for name in learnt})
        self.options = {}
        for name, value in options.items():
            if isinstance(value, nn.Module):
                self.add_module(name, value)
            elif isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                self.options[name] = value

    def forward(self, image: Any, psf: Any, **options: Any) -> Any:
        """Restore `image`, see `deconv.restore`. options: of this call only, in the place of the layer's own."""
        learnt = {name: logarithm.exp() for name, logarithm in self.logarithms.items()}
        held = dict(self.named_buffers(recurse=False)) | dict(self.named_children())
        del held["logarithms"]
        return self.method(image, psf, **(self.options | held | learnt | options))

    def extra_repr(self) -> str:
        return ", ".join([self.method.__name__, *(f"{name}={value!r}" for name, value in self.options.items())])


def _logarithm(name: str, value: Any) -> nn.Parameter:
    try:
        start = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.get_default_dtype())
    except (TypeError, RuntimeError):
        start = torch.zeros(())
    if not bool((start > 0).all() and start.isfinite().all()):
        raise ValueError(f"{name}: to be learnt it needs a positive number to begin with, given {value}")
    return nn.Parameter(start.detach().log())
