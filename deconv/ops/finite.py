"""Raising where a solution is not finite: at once on a CPU, and on a GPU without waiting for it.

On a GPU the largest absolute value is formed and copied behind the solve, and looked at when it is there: by the next
solve, or by `raise_if_not_finite`, which waits.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deconv.solvers.anchor import invert_anchor
from deconv.solvers.geometry import Support

from .conditioning import inverse_gain_bound

__all__ = ["check_solution", "raise_if_not_finite"]

_MOST_PENDING = 256  # then the oldest one, long done, is waited for


@dataclass(frozen=True)
class _Pending:
    """A solution that has not been looked at. `peak` gives its largest absolute value, None while that is not there."""

    peak: Callable[[bool], float | None]
    weight: Tensor
    support: Support
    groups: int


_pending: deque[_Pending] = deque()
_lock = threading.Lock()


def check_solution(x: Tensor, y: Tensor, weight: Tensor, support: Support, groups: int) -> None:
    """Raise where `x` is not finite; on a GPU, where an earlier one that is known by now was not."""
    if x.is_cuda:
        if not torch.cuda.is_current_stream_capturing():  # a graph that is being captured has no values to look at
            raise_if_not_finite(wait=False)
            _watch(x, weight, support, groups)
    # One cheap pass: a sum is finite unless a term is not, or unless it overflows by itself.
    elif not math.isfinite(x.sum()) and not torch.isfinite(x).all():
        if not torch.isfinite(y).all():
            raise FloatingPointError("inverse_conv2d: y is not finite, so neither is the solution")
        raise FloatingPointError(_explain(weight, support, groups))


def raise_if_not_finite(*, wait: bool = True) -> None:
    """Raise where a solution that `deconv.inverse_conv2d` has computed on a GPU is not finite.

    On a CPU the operation itself raises. On a GPU that would make the host wait in every call; so each call raises for
    those before it that have been computed by then, and this function, where the host waits anyway, for all.

    Parameters
    ----------
    wait : bool
        For solutions that are still being computed.

    Raises
    ------
    FloatingPointError
        With the reason, as far as the kernel tells it.
    ValueError
        The anchor matrix is singular.
    """
    while True:
        with _lock:
            if not _pending:
                return
            peak = _pending[0].peak(wait or len(_pending) > _MOST_PENDING)
            if peak is None:
                return
            looked_at = _pending.popleft()
        if not math.isfinite(peak):
            with _lock:
                _pending.clear()  # what followed from it says nothing new
            raise FloatingPointError(_explain(looked_at.weight, looked_at.support, looked_at.groups))


def _watch(x: Tensor, weight: Tensor, support: Support, groups: int) -> None:
    pending = _Pending(_peak_of(x), weight.detach(), support, groups)
    with _lock:
        _pending.append(pending)


def _peak_of(x: Tensor) -> Callable[[bool], float | None]:
    """Start to form the largest absolute value; the function looks whether it is there, or waits for it."""
    there = torch.empty((), dtype=x.dtype, pin_memory=True)
    there.copy_(torch.linalg.vector_norm(x, torch.inf), non_blocking=True)  # cannot overflow, and keeps NaN
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(x.device))

    def look(wait: bool) -> float | None:
        if wait:
            done.synchronize()
        return float(there) if wait or done.query() else None

    return look


def _explain(weight: Tensor, support: Support, groups: int) -> str:
    if not torch.isfinite(weight).all():
        return "inverse_conv2d: weight is not finite, so neither is the solution"
    invert_anchor(weight, support, groups)  # raises where it is singular: a solver on a GPU cannot, it returns NaN
    bound = float(inverse_gain_bound(weight, support=support, groups=groups))
    return (
        f"inverse_conv2d: the solution is not finite in {weight.dtype}: this inverse amplifies its input too much "
        f"(gain bound {bound:.3g}, see deconv.inverse_gain_bound), or the input was not finite. Scale the taps off the "
        "anchor down, use float64, or pass check_finite=False to get the values as they are"
    )
