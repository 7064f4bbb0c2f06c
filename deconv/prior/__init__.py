"""What photographs look like: densities of their patches, and what restoration makes of them."""

from .expectation import fit_mixture
from .flow import FlowPrior
from .mixture import GaussianMixturePrior
from .patch_prior import PatchPrior, Prior
from .patches import cosine_basis
from .store import SHIPPED, load_prior, save_prior

__all__ = [
    "SHIPPED",
    "FlowPrior",
    "GaussianMixturePrior",
    "PatchPrior",
    "Prior",
    "cosine_basis",
    "fit_mixture",
    "load_prior",
    "save_prior",
]
