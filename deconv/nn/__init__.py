"""Layers."""

from .inverse_conv import InverseConv2d

__all__ = ["InverseConv2d"]
