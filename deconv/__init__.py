"""Image deblurring and deconvolution on an exact, parallel, differentiable inverse convolution."""

from .ops import causal_conv2d, causal_log_abs_det, inverse_conv2d, inverse_gain_bound

__all__ = [
    "causal_conv2d",
    "causal_log_abs_det",
    "inverse_conv2d",
    "inverse_gain_bound",
]

__version__ = "0.1.0"
