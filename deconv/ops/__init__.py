"""Differentiable operations on tensors."""

from .causal_conv import causal_conv2d
from .conditioning import inverse_gain_bound
from .determinant import causal_log_abs_det
from .finite import raise_if_not_finite
from .inverse_conv import inverse_conv2d
from .spectral import spectral_divide, spectral_factor

__all__ = [
    "causal_conv2d",
    "causal_log_abs_det",
    "inverse_conv2d",
    "inverse_gain_bound",
    "raise_if_not_finite",
    "spectral_divide",
    "spectral_factor",
]
