"""Where passes over memory are compiled: those of splitting, and the total variation of Richardson-Lucy."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..derivatives import Gradient, Hessian
from ..shrinkage import Shrinkage

if TYPE_CHECKING:
    from collections.abc import Callable

    from .passes import Passes

    DivideBySmoothing = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]

__all__ = ["compiled_passes", "compiled_smoothing"]

# Below so many pixels, importing numba and loading what it compiled takes longer than it saves. The size alone decides,
# so that the same image gives the same digits whatever has been imported.
_LEAST_PIXELS = 2**18


def compiled_passes(analysis: Any, prox: Any, penalty: Tensor | float, latent: Tensor) -> Passes | None:
    """Those for differences of two axes and a shrinkage, one for all pixels of a channel; None for anything else."""
    usual = type(analysis) in (Gradient, Hessian) and len(analysis.axes) == 2 and isinstance(prox, Shrinkage)
    if not usual or latent.device.type != "cpu" or latent.dtype not in (torch.float32, torch.float64):
        return None
    if latent.ndim != 4 or latent.numel() < _LEAST_PIXELS or not _constant(prox.weight) or not _constant(penalty):
        return None
    if not _numba_works():
        return None
    from .passes import Passes

    return Passes(1 if isinstance(analysis, Gradient) else 2, prox)


def compiled_smoothing(weight: Tensor, flat: Tensor, latent: Tensor) -> DivideBySmoothing | None:
    """`deconv.restore.compiled.contours.divide_by_smoothing`, where weight and f are one for all pixels of a channel,
    else None."""
    if latent.device.type != "cpu" or latent.dtype not in (torch.float32, torch.float64):
        return None
    space = latent.ndim - 2
    if latent.requires_grad or latent.numel() < _LEAST_PIXELS:
        return None
    if not (_constant(weight, space) and _constant(flat, space) and _numba_works()):
        return None
    from .contours import divide_by_smoothing

    return divide_by_smoothing


def _constant(value: Tensor | float, space: int = 2) -> bool:
    """Whether a number is one for all pixels of a channel, and no gradient asks for it."""
    if not torch.is_tensor(value):
        return True
    return not value.requires_grad and (value.numel() == 1 or tuple(value.shape[-space:]) == (1,) * space)


@functools.cache
def _numba_works() -> bool:
    from ...solvers.registry import SOLVERS

    return importlib.util.find_spec("numba") is not None and SOLVERS["compiled"].available()[0]
