"""The last steps, at full size: kernels of the L0 alternation come out too thick."""

from __future__ import annotations

from torch import Tensor

from ..imaging.boundary import extend
from ..restore.derivatives import Gradient
from .coarse_to_fine import RIDGE
from .edges import strongest, threshold
from .kernel_step import fit_psf
from .latent import Scale
from .support import centred, clean

__all__ = ["thin"]

_EDGES = 80

_gradient = Gradient()


def thin(scale: Scale, scene: Tensor, psf: Tensor, *, cut: float) -> Tensor:
    """The psf that fits the strongest edges of a restored photograph in place of those of a drawing."""
    slopes = _gradient.analyse(extend(scene, scale.margins))[:, 0]
    kept = strongest(slopes, threshold(slopes, _EDGES * max(scale.size)))
    return centred(clean(fit_psf(kept, scale.slopes_spectrum, scale.size, ridge=RIDGE, start=psf[None])[0], cut=cut))
