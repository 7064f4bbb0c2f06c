"""Restoration of images whose psf is known."""

from .hyper_laplacian import hyper_laplacian
from .plug_and_play import plug_and_play
from .richardson_lucy import richardson_lucy
from .tikhonov import tikhonov
from .total_variation import total_variation
from .wiener import wiener

__all__ = [
    "hyper_laplacian",
    "plug_and_play",
    "richardson_lucy",
    "tikhonov",
    "total_variation",
    "wiener",
]
