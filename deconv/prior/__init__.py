"""Densities of photographs and of their patches: their logarithms, their gradients, and what they denoise."""

from .expectation_maximisation import fit_mixture
from .files import SHIPPED
from .flow import FlowPrior
from .image_prior import ImagePrior, Prior
from .mixture import GaussianMixturePrior
from .patch_prior import PatchPrior
from .patches import cosine_basis, detail_power
from .store import load_prior, save_prior

__all__ = [
    "SHIPPED",
    "FlowPrior",
    "GaussianMixturePrior",
    "ImagePrior",
    "PatchPrior",
    "Prior",
    "cosine_basis",
    "detail_power",
    "fit_mixture",
    "load_prior",
    "save_prior",
]
