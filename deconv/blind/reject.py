"""When no psf is to be trusted: all thresholds that decide between success and failure."""

from __future__ import annotations

from dataclasses import dataclass

from ..imaging.psf.moments import spread
from .evidence import Candidate
from .image_step import Scale
from .observation import Observation
from .pyramid import edge_strength

__all__ = ["THRESHOLDS", "Thresholds", "why_hopeless", "why_rejected"]


@dataclass(frozen=True)
class Thresholds:
    """What an image must show, and a psf achieve.

    Attributes
    ----------
    contrast : float
        The least standard deviation of the image, over its greatest magnitude.
    edges : float
        How often the strongest edges must exceed the noise of gradients, in each of four directions.
    misfit : float
        The greatest variance that a psf may leave unexplained, over that of the noise.
    sharp_spread : float
        A psf that spreads over less, in pixels, would sharpen nothing.
    narrow_spread : float
        One that spreads over less must have more evidence than no blur.
    sparsity : float
        By how much the latent image must be sparser than the observation, see `Candidate`.
    gain : float
        By how much straight motion or defocus must be likelier than no blur, in nats a frequency, see
        `deconv.blind.shapes`.
    confidence : float
        The confidence below which a psf comes with a warning.
    """

    # A fortieth of a grey level of 8 bits beside white: an image of one colour, but for rounding.
    contrast: float = 1e-4
    # 4.8 and more in photographs; 1 to 3 in noise, slopes, and where there is but one edge.
    edges: float = 4.0
    # 0.1 to 1.3 for psfs that were right, 2.2 to 5 for sharp pictures of fine texture.
    misfit: float = 1.6
    # The psfs found for two dozen sharp photographs spread over 0.6 to 1.4 pixels, those for blurred ones over more.
    sharp_spread: float = 0.75
    narrow_spread: float = 1.5
    # 0.07 to 0.66 in blurred photographs, nothing where a wide psf was found for a sharp one.
    sparsity: float = 0.05
    # -0.04 to 0.00 in sharp photographs, but for some narrow psfs; 0.02 to 1.3 in blurred ones.
    gain: float = 0.02
    confidence: float = 0.5


THRESHOLDS = Thresholds()


def why_hopeless(observation: Observation, scale: Scale, limits: Thresholds = THRESHOLDS) -> str | None:
    """Why an image cannot show its blur, or None. scale: the observation at full size."""
    if edge_strength(scale) < limits.edges * observation.gradient_noise():
        return "too few edges stand out from the noise to tell a blur by"
    return None


def why_rejected(found: Candidate, none: Candidate, limits: Thresholds = THRESHOLDS) -> str | None:
    """Why the psf found is not to be trusted, or None; `none` is the candidate of no blur."""
    if found.misfit > limits.misfit:
        return f"no psf explains the image: what is left is {found.misfit**0.5:.1f} times the noise"
    width = spread(found.psf)
    if width < limits.sharp_spread:
        return f"the image is sharp already: its blur spreads over {width:.2f} pixels only"
    unlikely = found.ranking_score > none.ranking_score or (width < limits.narrow_spread and found.score > none.score)
    if unlikely or found.sparsity > none.sparsity - limits.sparsity:
        return (
            "no psf explains the image better than no blur does: it is sharp, or its blur is too wide, too faint or "
            "too uneven to be found"
        )
    return None
