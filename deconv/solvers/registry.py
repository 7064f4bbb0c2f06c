"""The table of solvers, and the choice among them.

``DECONV_SOLVER=name`` forces one for the whole process; the argument ``solver=`` of the public functions forces one
for a call. A forced solver that cannot serve is an error; otherwise the first one of the table that is available and
supports the problem is taken.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["SOLVERS", "Solver", "choose", "solve", "weight_gradient"]

Verdict = tuple[bool, str]  # (yes or no, the reason in words)


@dataclass(frozen=True)
class Solver:
    """One row of the table.

    name: what ``DECONV_SOLVER`` and ``solver=`` say.
    available: whether it can run on this machine, and why (not).
    supports: whether it takes this problem ``(y, weight, support, groups)``, and why (not).
    load: imports the implementation on first use and returns
        ``solve(y, weight, *, corner, support, groups) -> x``.
    """

    name: str
    available: Callable[[], Verdict]
    supports: Callable[[Tensor, Tensor, str, int], Verdict]
    load: Callable[[], Callable[..., Tensor]]


def _always() -> Verdict:
    return True, "pure torch"


def _anything(y: Tensor, weight: Tensor, support: str, groups: int) -> Verdict:
    return True, "any device, any size"


@lru_cache
def _numba_available() -> Verdict:
    if importlib.util.find_spec("numba") is None:
        return False, "numba is not installed (pip install numba)"
    return True, "numba, compiled on first use and cached on disk"


def _cuda_available() -> Verdict:
    from deconv_gpu import available

    return available()


def _on_cuda(y: Tensor, weight: Tensor, support: str, groups: int) -> Verdict:
    from deconv_gpu import supports

    return supports(y, weight, support, groups)


def _on_cpu(y: Tensor, weight: Tensor, support: str, groups: int) -> Verdict:
    return y.device.type == "cpu", f"needs CPU tensors, given {y.device.type}"


_DENSE_LIMIT = 2048
_FEW_CHANNELS = 4


def _tiny(y: Tensor, weight: Tensor, support: str, groups: int) -> Verdict:
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


def choose(y: Tensor, weight: Tensor, *, support: str, groups: int, name: str | None = None) -> Solver:
    """The solver for this problem: the one called `name`, else ``DECONV_SOLVER``, else the first that can serve."""
    asked = name or os.environ.get("DECONV_SOLVER")
    if asked:
        if asked not in SOLVERS:
            raise ValueError(f"solver: unknown name {asked!r}, allowed are {', '.join(SOLVERS)}")
        solver = SOLVERS[asked]
        for ok, reason in (solver.available(), solver.supports(y, weight, support, groups)):
            if not ok:
                raise ValueError(f"solver: {asked!r} cannot be used here: {reason}")
        return solver
    return next(s for s in SOLVERS.values() if s.available()[0] and s.supports(y, weight, support, groups)[0])


def _full_precision(device: str):
    """Autocast would turn the matrix products of a solver to half precision. (Switching it off is not free.)"""
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def solve(y: Tensor, weight: Tensor, *, corner: str, support: str, groups: int, name: str | None = None) -> Tensor:
    """Solve ``A x = y`` by the chosen solver: no autograd, no argument checks beyond the anchor's singularity.

    y: `(B, C, H, W)`, float32 or float64, any strides. weight: `(C, C / groups, kh, kw)`, same dtype and device,
    zero outside its support. The result is contiguous.
    """
    if y.numel() == 0:
        return torch.empty_like(y, memory_format=torch.contiguous_format)
    solver = choose(y, weight, support=support, groups=groups, name=name)
    with _full_precision(y.device.type):
        return solver.load()(y, weight, corner=corner, support=support, groups=groups)


def weight_gradient(
    x: Tensor, v: Tensor, kernel_size: tuple[int, int], padding: tuple[int, int, int, int], groups: int
) -> Tensor:
    """Gradient `(C, C / groups, kh, kw)` of ``<v, conv2d(pad(x, padding), weight)>`` with respect to `weight`.

    x, v: `(B, C, H, W)`; `padding` is (left, right, top, bottom). The gradient is that of torch, except for a few
    channels on a CPU, where the compiled one is several times faster.
    """
    inner = v.shape[1] // groups
    compiled = SOLVERS["compiled"]
    few = inner <= _FEW_CHANNELS and v.device.type == "cpu" and v.numel() > 0
    if few and os.environ.get("DECONV_SOLVER") in (None, "compiled") and compiled.available()[0]:
        from .compiled import weight_gradient as compiled_gradient

        return compiled_gradient(x, v, kernel_size, padding, groups)
    # A quarter of the batch at a time: torch copies both images into a layout of its own, padded channels included.
    images = max(1, -(-v.shape[0] // 4))
    return sum(
        _torch_weight_gradient(pad(some_x, padding), some_v, kernel_size, groups)
        for some_x, some_v in zip(x.split(images), v.split(images), strict=True)
    )


def _torch_weight_gradient(x: Tensor, v: Tensor, kernel_size: tuple[int, int], groups: int) -> Tensor:
    shape_only = v.new_empty(v.shape[1], v.shape[1] // groups, *kernel_size)
    _, gradient, _ = torch.ops.aten.convolution_backward(
        v, x, shape_only, None, [1, 1], [0, 0], [1, 1], False, [0, 0], groups, [False, True, False]
    )
    return gradient
