"""The last steps, at full size: psfs of the L0 alternation come out too thick."""

from __future__ import annotations

from torch import Tensor

from ..imaging.boundary import extend
from ..imaging.convolution import psf_to_otf
from ..restore.derivatives import Gradient
from .coarse_to_fine import RIDGE
from .edges import strongest, threshold
from .kernel_step import fit_psf
from .latent import Scale
from .observation import Observation
from .selection import Candidate, scene_precision
from .support import centred, clean

__all__ = ["thin"]

_EDGES = 80

_gradient = Gradient()


def thin(piece: Observation, scale: Scale, found: Candidate, *, cut: float) -> Tensor:
    r"""The psf that fits the strongest edges of a restored photograph in place of those of a drawing.

    It has the least misfit that is to be expected if the scene is x to a covariance C, that of Laplace's approximation
    around what was restored with the last psf:

    .. math:: \|\nabla x * h - \nabla y\|^2 + \sum_\omega C \, |D|^2 |H|^2, \qquad
        C^{-1} = \frac{|H_{last}|^2}{\sigma^2} + \frac{|D|^2}{s^2}

    which is a step of expectation-maximisation (Levin, Weiss, Durand and Freeman, CVPR 2011). cut: what is fainter,
    relative to the greatest tap, becomes zero.
    """
    slopes = _gradient.analyse(extend(piece.smooth(found.scene), scale.margins))[:, 0]
    kept = strongest(slopes, threshold(slopes, _EDGES * max(scale.size)))
    precision = scene_precision(found.psf, scale.shape, piece.sigma)
    seen = psf_to_otf(piece.smoothing, scale.shape).real.square()
    doubt = slopes[0].numel() * seen * scale.laplacian / precision
    start = found.psf[None]
    fitted = fit_psf(kept, scale.slopes_spectrum, scale.size, ridge=RIDGE, start=start, doubt=doubt)
    return centred(clean(fitted[0], cut=cut))
