"""Times of several functions, measured so that their ratios mean something on a busy machine."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import torch

__all__ = ["geometric_mean", "interleaved_medians"]


def interleaved_medians(
    functions: Mapping[str, Callable[[], object]],
    *,
    seconds: float = 1.5,
    rounds: tuple[int, int] = (7, 200),
    device: str = "cpu",
) -> dict[str, float]:
    """Median time of each function, in seconds; each round calls every one of them once, in turn.

    A disturbance, or a processor that slows down, then hits all of them alike. Each timed call follows one that is
    not, so that a function finds in the caches what it left there itself, not what another one did. As many rounds as
    fit into `seconds`, within the limits of `rounds`, after one round to warm up.
    """
    for function in functions.values():
        _timed(function, device)
    estimate = 2 * sum(_timed(function, device) for function in functions.values())
    count = int(min(max(seconds / max(estimate, 1e-9), rounds[0]), rounds[1]))
    times: dict[str, list[float]] = {name: [] for name in functions}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(count):
            for name, function in functions.items():
                function()
                times[name].append(_timed(function, device))
    finally:
        if collecting:
            gc.enable()
    return {name: statistics.median(values) for name, values in times.items()}


def _timed(function: Callable[[], object], device: str) -> float:
    if device != "cpu":
        return _timed_by_events(function)
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _timed_by_events(function: Callable[[], object]) -> float:
    """Between two events on the stream, so that coming back from the device is not on the clock."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def geometric_mean(values: Iterable[float]) -> float:
    """The mean for ratios; NaN of nothing."""
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan
