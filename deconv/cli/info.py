"""``deconv info``: what is installed, and which solvers can run here and why."""

from __future__ import annotations

import os
import platform
from importlib import metadata

__all__ = ["info"]

_LIBRARIES = ("numpy", "numba", "scipy", "scikit-image", "opencv-python", "tifffile")
_CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")


def info() -> None:
    """Show versions, threads, devices and the solvers that can run here.

    \b
    Example:
      deconv info
    """
    import torch
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..solvers import SOLVERS

    console = Console(highlight=False)
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    facts.add_row("deconv", _version("deconv-toolkit"))
    facts.add_row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    facts.add_row("torch", torch.__version__)  # which says for what devices it was built, as the package's own does not
    for library in _LIBRARIES:
        facts.add_row(library, _version(library))
    cupy = next((f"{name} {_version(name)}" for name in _CUPY if _installed(name)), "not installed")
    facts.add_row("cupy", cupy)
    facts.add_row("threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors")
    facts.add_row("devices", ", ".join(_devices()))
    console.print(facts)

    forced = os.environ.get("DECONV_SOLVER")
    title = "solvers, the first that serves is taken" + (f"; DECONV_SOLVER={forced}" if forced else "")
    table = Table(title=title, title_justify="left")
    for heading in ("solver", "available", "reason"):
        table.add_column(heading)
    for solver in SOLVERS.values():
        ok, reason = solver.available()
        table.add_row(solver.name, "yes" if ok else "no", escape(reason))
    console.print(table)


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _version(distribution: str) -> str:
    return metadata.version(distribution) if _installed(distribution) else "not installed"


def _devices() -> list[str]:
    import torch

    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return devices
