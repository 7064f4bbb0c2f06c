"""When no psf is to be trusted: all thresholds that decide between success and failure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..imaging.psf.moments import spread
from .evidence import Candidate
from .observation import Observation
from .pyramid import edges_over_noise

__all__ = ["LAST_LIMITS", "THRESHOLDS", "Thresholds", "hides_edges", "why_hopeless", "why_incredible", "why_rejected"]


@dataclass(frozen=True)
class Thresholds:
    """What an image must show, and a psf achieve.

    Attributes
    ----------
    contrast : float
        The least standard deviation of the image, over its greatest magnitude.
    edges : float
        How many times stronger the strongest edges must be than in noise alone, in each of four directions, see
        `deconv.blind.pyramid`.
    plain_edges : float
        The same at full size, for a path that is not hidden by noise.
    misfit : float
        The greatest variance that a psf may leave unexplained, over that of the noise.
    sharp_spread : float
        A psf that spreads over less, in pixels, would sharpen nothing.
    narrow_spread : float
        One that spreads over less must have more evidence than no blur, and the better ranking score.
    deficit : float
        By how much the ranking score of a wider one may be worse than that of no blur, in nats a pixel, before it is
        polished.
    sparsity, narrow_sparsity : float
        By how much the latent image must be sparser than the observation, see `Candidate`; and where the psf is narrow.
    gain : float
        By how much straight motion or defocus must be likelier than no blur, in nats a frequency, see
        `deconv.blind.shapes`.
    confidence : float
        The confidence below which a psf comes with a warning.
    credible : float
        The confidence below which it is not returned.
    """

    # A fortieth of a grey level of 8 bits beside white: an image of one colour, but for rounding.
    contrast: float = 1e-4
    # 1.6 and more in photographs, under 5 % of noise, too; 0.6 to 1.3 in noise, and where there is an edge or a corner.
    edges: float = 1.3
    # 1.0 to 1.8 under 5 % of noise, and wide blurs under 3 %.
    plain_edges: float = 1.8
    # 0.1 to 1.3 for psfs that were right, 2.2 to 5 for sharp pictures of fine texture.
    misfit: float = 1.6
    # The psfs found for two dozen sharp photographs spread over 0.6 to 1.4 pixels, those for blurred ones over more.
    sharp_spread: float = 0.75
    narrow_spread: float = 1.5
    # Where there is texture all over, no blur is the likelier by up to 0.25 in photographs that are blurred; sharp ones
    # lead to narrow psfs.
    deficit: float = 0.3
    # 0.07 to 0.66 in blurred photographs, nothing where a wide psf was found for a sharp one.
    sparsity: float = 0.05
    narrow_sparsity: float = 0.1
    # -0.04 to 0.00 in sharp photographs, but for some narrow psfs; 0.02 to 1.3 in blurred ones.
    gain: float = 0.02
    # Below, one psf of four is wrong in photographs that had no part in the choice, above one of seven.
    confidence: float = 0.8
    credible: float = 0.5


THRESHOLDS = Thresholds()
# Of what cannot get any better: a polished psf, or a shape of few numbers where no other psf is to be trusted. Of 271
# photographs whose polished psf passed all else, two had one worse than no blur, none of them among the 230 right ones.
LAST_LIMITS = replace(THRESHOLDS, deficit=0.0)

# Steps of the pyramid, from full size to a quarter: what noise hides at full size shows there.
_COARSE = 4


def why_hopeless(observation: Observation, size: tuple[int, int], limits: Thresholds = THRESHOLDS) -> str | None:
    """Why an image cannot show its blur, or None. size: of the psf's window."""
    if edges_over_noise(observation, size, _COARSE) < limits.edges:
        return "too few edges stand out from the noise to tell a blur by"
    return None


def hides_edges(observation: Observation, size: tuple[int, int], limits: Thresholds = THRESHOLDS) -> bool:
    """Whether noise hides the edges at full size, and with them how thin a psf is."""
    return edges_over_noise(observation, size) < limits.plain_edges


def why_rejected(found: Candidate, none: Candidate, limits: Thresholds = THRESHOLDS) -> str | None:
    """Why the psf found is not to be trusted, or None; `none` is the candidate of no blur."""
    if found.misfit > limits.misfit:
        return f"no psf explains the image: what is left is {found.misfit**0.5:.1f} times the noise"
    width = spread(found.psf)
    if width < limits.sharp_spread:
        return f"the image is sharp already: its blur spreads over {width:.2f} pixels only"
    deficit = found.ranking_score - none.ranking_score
    sparser = none.sparsity - found.sparsity
    if width < limits.narrow_spread:
        likely = deficit <= 0 and found.score <= none.score and sparser >= limits.narrow_sparsity
    else:
        likely = deficit <= limits.deficit and sparser >= limits.sparsity
    if not likely:
        return (
            "no psf explains the image better than no blur does: it is sharp, or its blur is too wide, too faint or "
            "too uneven to be found"
        )
    return None


def why_incredible(probability: float, limits: Thresholds = THRESHOLDS) -> str | None:
    """Why a psf of that confidence is not to be returned, or None."""
    if probability < limits.credible:
        return f"no psf is to be believed: the likeliest is right with a probability of {probability:.2f} only"
    return None
