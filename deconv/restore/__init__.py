"""Restoration of images whose psf is known."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import methods

if TYPE_CHECKING:
    from .common_options import CommonOptions
    from .convergence import ConvergenceInfo
    from .layer import Restoration
    from .methods import *  # noqa: F403 - every method of the table
    from .posterior import Posterior, flow_posterior
    from .run import RestorationWarning
    from .statistics import Statistics
    from .tiling import tiled

__all__ = [
    "CommonOptions",
    "ConvergenceInfo",
    "Posterior",
    "Restoration",
    "RestorationWarning",
    "Statistics",
    "flow_posterior",
    "tiled",
]
__all__ += methods.__all__

_MODULES = {
    "CommonOptions": "common_options",
    "ConvergenceInfo": "convergence",
    "Posterior": "posterior",
    "Restoration": "layer",
    "RestorationWarning": "run",
    "Statistics": "statistics",
    "flow_posterior": "posterior",
    "tiled": "tiling",
}


def __getattr__(name: str) -> Any:
    """Import what is in a file when it is first used: the table of methods is read without torch."""
    if name in _MODULES:
        globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        return globals()[name]
    if hasattr(methods, name):
        return getattr(methods, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
