"""The methods of this package in the interfaces of others."""

from .deepinv import Reconstructor

__all__ = ["Reconstructor"]
