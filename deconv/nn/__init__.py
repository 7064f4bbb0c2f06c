"""Layers."""

from .inverse_conv import InverseConv2d
from .recursive_deconv import RecursiveDeconv2d

__all__ = ["InverseConv2d", "RecursiveDeconv2d"]
