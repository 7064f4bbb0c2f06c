"""Restoration of images whose psf is known."""

from .epll import epll
from .flow_map import flow_map
from .flow_posterior import Posterior, flow_posterior
from .hyper_laplacian import hyper_laplacian
from .l0_gradient import l0_gradient
from .module import Restoration
from .plug_and_play import plug_and_play
from .problem import Statistics
from .richardson_lucy import richardson_lucy
from .tikhonov import tikhonov
from .tiled import tiled
from .total_variation import total_variation
from .unsupervised_wiener import unsupervised_wiener
from .wiener import wiener

__all__ = [
    "Posterior",
    "Restoration",
    "Statistics",
    "epll",
    "flow_map",
    "flow_posterior",
    "hyper_laplacian",
    "l0_gradient",
    "plug_and_play",
    "richardson_lucy",
    "tikhonov",
    "tiled",
    "total_variation",
    "unsupervised_wiener",
    "wiener",
]
