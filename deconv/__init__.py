"""Image deblurring and deconvolution on an exact, parallel, differentiable inverse convolution."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import blind, flows, imaging, interop, nn, ops, prior, restore, solvers, training
    from .blind import deblur
    from .flows import InverseFlow, build_flow
    from .imaging import degrade, psnr, ssim
    from .nn import InverseConv2d, RecursiveDeconv2d
    from .ops import causal_conv2d, causal_log_abs_det, inverse_conv2d, inverse_gain_bound, spectral_factor
    from .prior import FlowPrior
    from .restore import flow_map, hyper_laplacian, plug_and_play, richardson_lucy, total_variation, wiener

__all__ = [
    "FlowPrior",
    "InverseConv2d",
    "InverseFlow",
    "RecursiveDeconv2d",
    "blind",
    "build_flow",
    "causal_conv2d",
    "causal_log_abs_det",
    "deblur",
    "degrade",
    "flow_map",
    "flows",
    "hyper_laplacian",
    "imaging",
    "interop",
    "inverse_conv2d",
    "inverse_gain_bound",
    "nn",
    "ops",
    "plug_and_play",
    "prior",
    "psnr",
    "restore",
    "richardson_lucy",
    "solvers",
    "spectral_factor",
    "ssim",
    "total_variation",
    "training",
    "wiener",
]

__version__ = "0.1.0"

_SUBPACKAGES = ("imaging", "nn", "ops", "restore", "solvers", "flows", "blind", "prior", "training", "interop")


def __getattr__(name: str):
    """Import a subpackage when one of its names is first used: torch takes seconds, ``deconv --help`` should not."""
    if name in _SUBPACKAGES:
        return import_module(f".{name}", __name__)
    if name in __all__:
        for subpackage in _SUBPACKAGES:
            module = import_module(f".{subpackage}", __name__)
            if name in module.__all__:
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
