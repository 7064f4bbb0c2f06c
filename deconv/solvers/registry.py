"""The table of solvers, and the choice among them.

``DECONV_SOLVER=name`` forces one for the whole process; the argument ``solver=`` of the public functions forces one
for a call. A forced solver that cannot serve is an error; otherwise the first one of the table that is available and
supports the operands is taken.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce

import torch
from torch import Tensor
from torch.nn.functional import pad

from deconv.choices import check_choice

from .geometry import Corner, Support
from .precision import full_precision

__all__ = ["SOLVERS", "Solver", "choose", "solve", "weight_gradient"]

Verdict = tuple[bool, str]  # (yes or no, the reason)


@dataclass(frozen=True)
class Solver:
    """One row of the table.

    Parameters
    ----------
    name : str
        What ``DECONV_SOLVER`` and ``solver=`` say.
    available : callable
        ``available() -> (yes or no, the reason)``: whether it can run on this machine.
    supports : callable
        ``supports(y, weight, support, groups) -> (yes or no, the reason)``: whether it takes these operands.
    load : callable
        Imports the implementation on first use and returns ``solve(y, weight, *, corner, support, groups) -> x``.
    """

    name: str
    available: Callable[[], Verdict]
    supports: Callable[[Tensor, Tensor, Support, int], Verdict]
    load: Callable[[], Callable[..., Tensor]]


def _always() -> Verdict:
    return True, "pure torch"


def _anything(y: Tensor, weight: Tensor, support: Support, groups: int) -> Verdict:
    return True, "any device, any size"


@lru_cache
def _numba_available() -> Verdict:
    if importlib.util.find_spec("numba") is None:
        return False, "numba is not installed (pip install numba)"
    try:
        from .compiled.cache import describe_cache

        return True, f"numba, {describe_cache()}"
    except Exception as error:  # of another NumPy than numba was made for, or where no memory may be executed
        return False, f"numba does not work here: {type(error).__name__}: {' '.join(str(error).split())}"


def _cuda_available() -> Verdict:
    from deconv_gpu import available

    return available()


def _on_cuda(y: Tensor, weight: Tensor, support: Support, groups: int) -> Verdict:
    from deconv_gpu import supports

    return supports(y, weight, support, groups)


def _on_cpu(y: Tensor, weight: Tensor, support: Support, groups: int) -> Verdict:
    return y.device.type == "cpu", f"needs CPU tensors, given {y.device.type}"


_DENSE_LIMIT = 2048
_QUARTERED = 1 << 18  # elements whose copies are worth a loop


def _tiny(y: Tensor, weight: Tensor, support: Support, groups: int) -> Verdict:
    size = weight.shape[1] * y.shape[-2] * y.shape[-1]
    return size <= _DENSE_LIMIT, f"needs at most {_DENSE_LIMIT} unknowns per group, given {size}"


def _load_compiled():
    from .compiled import solve

    return solve


def _load_cuda():
    from deconv_gpu import solve

    return solve


def _load_blocked():
    from .blocked import solve

    return solve


def _load_dense():
    from .dense import solve

    return solve


def _load_reference():
    from .reference import solve

    return solve


# In order of preference.
SOLVERS: dict[str, Solver] = {
    solver.name: solver
    for solver in (
        Solver("compiled", _numba_available, _on_cpu, _load_compiled),
        Solver("cuda", _cuda_available, _on_cuda, _load_cuda),
        Solver("blocked", _always, _anything, _load_blocked),
        Solver("dense", _always, _tiny, _load_dense),
        Solver("reference", _always, _anything, _load_reference),
    )
}


def choose(y: Tensor, weight: Tensor, *, support: Support, groups: int, name: str | None = None) -> Solver:
    """The solver for these operands: that called `name`, else ``DECONV_SOLVER``, else the first that can serve.

    Parameters
    ----------
    y : Tensor
        Right-hand side `(B, C, H, W)`.
    weight : Tensor
        Kernel `(C, C / groups, kh, kw)`.
    support : {"quarter", "half"}
        See `deconv.causal_conv2d`.
    groups : int
        Channel groups.
    name : str, optional
        A row of `SOLVERS`.

    Returns
    -------
    Solver
        A row of `SOLVERS`.

    Raises
    ------
    ValueError
        An unknown name, or a solver asked for that cannot run here or does not take these operands.
    """
    asked = name or os.environ.get("DECONV_SOLVER")
    if asked:
        check_choice("solver", asked, SOLVERS)
        solver = SOLVERS[asked]
        for ok, reason in (solver.available(), solver.supports(y, weight, support, groups)):
            if not ok:
                raise ValueError(f"solver: {asked!r} cannot be used here: {reason}")
        return solver
    # Whether a solver is available may take an import to tell; whether it takes these operands does not.
    return next(s for s in SOLVERS.values() if s.supports(y, weight, support, groups)[0] and s.available()[0])


def solve(
    y: Tensor, weight: Tensor, *, corner: Corner, support: Support, groups: int, name: str | None = None
) -> Tensor:
    """Solve ``A x = y`` by the chosen solver: no autograd, no argument checks beyond the anchor's singularity.

    Parameters
    ----------
    y : Tensor
        Right-hand side `(B, C, H, W)`, float32 or float64, any strides.
    weight : Tensor
        Kernel `(C, C / groups, kh, kw)`, same dtype and device, zero outside its support.
    corner : {"tl", "tr", "bl", "br"}
        Where the causal past lies; see `deconv.causal_conv2d`.
    support : {"quarter", "half"}
        See `deconv.causal_conv2d`.
    groups : int
        Channel groups.
    name : str, optional
        A row of `SOLVERS`; see `choose`.

    Returns
    -------
    Tensor
        `x`, contiguous, the shape and dtype of `y`.

    Raises
    ------
    ValueError
        The anchor matrix is singular; or as `choose`.
    """
    if y.numel() == 0:
        return torch.empty_like(y, memory_format=torch.contiguous_format)
    solver = choose(y, weight, support=support, groups=groups, name=name)
    with full_precision(y.device.type):
        return solver.load()(y, weight, corner=corner, support=support, groups=groups)


def weight_gradient(
    x: Tensor, v: Tensor, kernel_size: tuple[int, int], padding: tuple[int, int, int, int], groups: int
) -> Tensor:
    """Gradient of ``<v, conv2d(pad(x, padding), weight)>`` with respect to `weight`.

    That of torch, except where the compiled one is faster: on a CPU, mostly.

    Parameters
    ----------
    x, v : Tensor
        Images `(B, C, H, W)`.
    kernel_size : tuple of int
        `(kh, kw)`.
    padding : tuple of int
        Zeros around `x`: (left, right, top, bottom).
    groups : int
        Channel groups.

    Returns
    -------
    Tensor
        `(C, C / groups, kh, kw)`.
    """
    if v.numel() == 0:
        return v.new_zeros(v.shape[1], v.shape[1] // groups, *kernel_size)
    allowed = os.environ.get("DECONV_SOLVER") in (None, "compiled")
    if v.device.type == "cpu" and allowed and SOLVERS["compiled"].available()[0]:
        from . import compiled

        if compiled.is_faster(v.shape, groups, kernel_size):
            return compiled.weight_gradient(x, v, kernel_size, padding, groups)
    # On a CPU torch copies large images into a layout of its own, padded channels included: a quarter at a time.
    quarter = v.device.type == "cpu" and v.numel() > _QUARTERED
    images = -(-v.shape[0] // (4 if quarter else 1))
    parts = zip(x.split(images), v.split(images), strict=True)
    gradients = (_torch_weight_gradient(pad(some_x, padding), some_v, kernel_size, groups) for some_x, some_v in parts)
    return reduce(torch.add, gradients)


def _torch_weight_gradient(x: Tensor, v: Tensor, kernel_size: tuple[int, int], groups: int) -> Tensor:
    shape_only = v.new_empty(v.shape[1], v.shape[1] // groups, *kernel_size)
    _, gradient, _ = torch.ops.aten.convolution_backward(
        v, x, shape_only, None, [1, 1], [0, 0], [1, 1], False, [0, 0], groups, [False, True, False]
    )
    return gradient
