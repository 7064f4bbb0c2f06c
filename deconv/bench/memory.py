"""Peak memory of a solve, measured from outside of it.

In a process of its own, because what a process has touched once it often keeps: the resident set is compared before
and at its highest, so every buffer counts, also those that no allocator of PyTorch knows of. On an accelerator the
allocator's own statistics are exact.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch

from .operations import Operands, solution
from .shapes import SolveCase

__all__ = ["asked_of_a_process", "extra_memory", "peak_allocated", "peak_resident"]


def extra_memory(cases: Sequence[SolveCase], solver: str | None, device: str) -> list[dict[str, int] | None]:
    """Bytes at the peak, beyond images, kernel and gradient, of ``forward`` and of ``forward and backward``.

    None for each case where the system cannot tell.
    """
    if device != "cpu":
        return [_measure(case, solver, device) for case in cases]
    request = {"cases": [astuple(case) for case in cases], "solver": solver}
    return asked_of_a_process(__name__, request) or [None] * len(cases)


def asked_of_a_process(module: str, request: dict[str, Any]) -> list[Any] | None:
    """What ``python -m module`` measures, request and answer as JSON; None where the system tells no process its
    peak."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    done = subprocess.run(
        [sys.executable, "-m", module], input=json.dumps(request), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"measuring memory failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _measure(case: SolveCase, solver: str | None, device: str) -> dict[str, int] | None:
    operands = Operands.of(case, device)
    forward, both = solution(operands, solver)
    both()  # compiles and loads what there is to compile and load
    peak = peak_resident if device == "cpu" else peak_allocated
    try:
        return {"forward": peak(forward), "forward and backward": peak(both)}
    except OSError:
        return None


def peak_allocated(function: Callable[[], object]) -> int:
    """Bytes that a call adds on the current CUDA device, at the peak."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return torch.cuda.max_memory_allocated() - before


def peak_resident(function: Callable[[], object]) -> int:
    """Bytes that a call adds to this process, at the peak. Raises OSError where Linux does not tell."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # memory that was freed but kept would hide what the function takes
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest resident set so far
    before = _status("VmRSS")
    function()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    match = re.search(rf"^{field}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(match[1]) * 1024


def _serve() -> None:
    torch.set_num_threads(1)
    request = json.load(sys.stdin)
    measured = [_measure(SolveCase(*fields), request["solver"], "cpu") for fields in request["cases"]]
    json.dump(measured, sys.stdout)


if __name__ == "__main__":
    _serve()
