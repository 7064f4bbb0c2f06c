"""Restoration methods as layers of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ..choices import check_choice
from .methods import as_method

__all__ = ["Restoration"]


class Restoration(nn.Module):
    r"""A restoration method as a layer: ``forward(image, psf)``.

    The iterations are unrolled, so the result is differentiable in the image, in the psf, in the learnable numbers
    and in the parameters of a denoiser, to all that calculus allows: thresholds count as fixed where they decide,
    and what a method estimates from the image (noise, contrast, automatic weights) as constant. `torch.func`'s
    ``grad``, ``vjp``, ``jvp`` and ``jacrev`` work on `torch.func.functional_call` of it; samples come as a batch,
    not through ``vmap``.

    Parameters
    ----------
    method : str or callable
        A method of `deconv.restore.METHODS` by its name, or a function of `deconv.restore`.
    learn : iterable of str
        Which of the options are learnt, of those that the method has learnable: `weight`, `tv` or `noise_to_signal`.
        They are positive numbers and stay positive: their logarithms are the layer's parameters.
    **options : Any
        The method's keywords; a module among them, a denoiser say, becomes a submodule, a tensor a buffer.

    Raises
    ------
    ValueError
        Unknown method, or a learnt option that is not learnable or has no positive number to begin with.
    TypeError
        An option that the method does not have.

    Examples
    --------
    >>> layer = Restoration("total_variation", weight=0.01, num_iter=10, learn=["weight"])
    >>> [name for name, _ in layer.named_parameters()]
    ['logarithms.weight']
    >>> tuple(layer(torch.rand(2, 3, 16, 16), torch.full((3, 3), 1 / 9)).shape)
    (2, 3, 16, 16)
    """

    def __init__(self, method: str | Callable[..., Any], /, *, learn: Iterable[str] = (), **options: Any) -> None:
        super().__init__()
        self.method = as_method(method)
        learnt = [learn] if isinstance(learn, str) else list(learn)
        for name in [*options, *learnt]:
            if name not in self.method.keywords:
                taken = ", ".join(self.method.keywords)
                raise TypeError(f"{name}: {self.method.name} does not take it; it takes {taken}")
        if self.method.learnable is not None:
            for name in learnt:
                check_choice("learn", name, self.method.learnable)
        self.logarithms = nn.ParameterDict({name: _logarithm(name, options.pop(name, None)) for name in learnt})
        self.options = {}
        for name, value in options.items():
            if isinstance(value, nn.Module):
                self.add_module(name, value)
            elif isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                self.options[name] = value

    def forward(self, image: Any, psf: Any = None, **options: Any) -> Any:
        """Restore `image`.

        Parameters
        ----------
        image, psf : array or Tensor
            See `deconv.restore`.
        **options : Any
            Keywords for this call only, in the place of the layer's own.

        Returns
        -------
        array or Tensor
            Like `image`.
        """
        learnt = {name: logarithm.exp() for name, logarithm in self.logarithms.items()}
        held = dict(self.named_buffers(recurse=False)) | dict(self.named_children())
        del held["logarithms"]
        return self.method(image, psf, **(self.options | held | learnt | options))

    def extra_repr(self) -> str:
        """The method and its options."""
        options = {**self.method.options, **self.options}
        return ", ".join([self.method.name, *(f"{name}={value!r}" for name, value in options.items())])


def _logarithm(name: str, value: Any) -> nn.Parameter:
    try:
        start = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.get_default_dtype())
    except (TypeError, RuntimeError):
        start = torch.zeros(())
    if not bool((start > 0).all() and start.isfinite().all()):
        raise ValueError(f"{name}: to be learnt it needs a positive number to begin with, given {value}")
    return nn.Parameter(start.detach().log())
