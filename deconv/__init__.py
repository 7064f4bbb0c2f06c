"""Image deblurring and deconvolution on an exact, parallel, differentiable inverse convolution."""

from . import imaging, nn, ops, restore, solvers
from .imaging import degrade, psnr, ssim
from .nn import InverseConv2d, RecursiveDeconv2d
from .ops import causal_conv2d, causal_log_abs_det, inverse_conv2d, inverse_gain_bound, spectral_factor
from .restore import hyper_laplacian, plug_and_play, richardson_lucy, total_variation, wiener

__all__ = [
    "InverseConv2d",
    "RecursiveDeconv2d",
    "causal_conv2d",
    "causal_log_abs_det",
    "degrade",
    "hyper_laplacian",
    "imaging",
    "inverse_conv2d",
    "inverse_gain_bound",
    "nn",
    "ops",
    "plug_and_play",
    "psnr",
    "restore",
    "richardson_lucy",
    "solvers",
    "spectral_factor",
    "ssim",
    "total_variation",
    "wiener",
]

__version__ = "0.1.0"
