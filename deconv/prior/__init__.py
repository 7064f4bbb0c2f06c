"""What photographs look like: densities of them, of their patches, and what restoration makes of both."""

from .expectation import fit_mixture
from .flow import FlowPrior
from .image_prior import ImagePrior, Prior
from .mixture import GaussianMixturePrior
from .patch_prior import PatchPrior
from .patches import cosine_basis, detail_power
from .store import SHIPPED, load_prior, save_prior

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
