"""Image deblurring and deconvolution on an exact, parallel, differentiable inverse convolution."""

from typing import TYPE_CHECKING

from .lazy_names import lazy_names

if TYPE_CHECKING:
    from . import blind, flows, imaging, interop, nn, ops, prior, restore, solvers, training
    from .blind import deblur
    from .flows import InverseFlow, build_flow
    from .imaging import degrade, psnr, ssim, view
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
    "view",
    "wiener",
]

__version__ = "0.2.0"

_SUBPACKAGES = ("imaging", "nn", "ops", "restore", "solvers", "flows", "blind", "prior", "training", "interop")

__getattr__ = lazy_names(__name__, _SUBPACKAGES, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
