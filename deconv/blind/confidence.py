r"""How likely an estimated psf is right, from what can be seen without the truth.

.. math:: p = \frac{1}{1 + \exp(-w_0 - \sum_i w_i s_i)} ,

the probability that the error ratio is at most 2, by logistic regression over the signs s; ``deconv bench blind --suite
wide --half tune --calibrate`` fits the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from torch import Tensor

from ..imaging.psf.moments import spread
from .evidence import Candidate, Hypothesis
from .metrics import kernel_similarity
from .observation import Observation

__all__ = ["CALIBRATION", "Signs", "confidence", "signs_of"]


@dataclass(frozen=True)
class Signs:
    """What tells right psfs from wrong ones.

    Attributes
    ----------
    lead : float
        By how much the ranking score is better than that of no blur, in nats a pixel.
    sparser : float
        By how much the latent image is sparser than the observation, see `Candidate`.
    misfit : float
        Logarithm of the variance that is left unexplained, over that of the noise.
    agreement : float
        Mean similarity of the psf to the hypotheses that reached the finest scale.
    border : float
        Share of the psf on the border of its window.
    noise : float
        Logarithm of the noise, over the contrast.
    spread : float
        Logarithm of the psf's spread, in pixels.
    """

    lead: float
    sparser: float
    misfit: float
    agreement: float
    border: float
    noise: float
    spread: float


# The constant, and the weight of each sign: of nine psfs found on the tuning half of the wide suite, and six of real
# camera shake.
CALIBRATION = (-9.96, 1.752, 6.207, -0.717, 5.501, -47.5, -0.352, 1.26)


def signs_of(piece: Observation, best: Candidate, none: Candidate, survivors: Sequence[Hypothesis]) -> Signs:
    """The signs of the psf chosen, `none` being the candidate of no blur."""
    return Signs(
        lead=none.ranking_score - best.ranking_score,
        sparser=none.sparsity - best.sparsity,
        misfit=math.log(max(best.misfit, 1e-3)),
        agreement=sum(kernel_similarity(best.psf, each.psf) for each in survivors) / len(survivors),
        border=_on_border(best.psf),
        noise=math.log(piece.sigma),
        spread=math.log(max(spread(best.psf), 0.1)),
    )


def _on_border(psf: Tensor) -> float:
    """The share of a psf `(kh, kw)` on the outermost pixels of its window."""
    return 1 - float(psf[1:-1, 1:-1].sum() / psf.sum())


def confidence(signs: Signs) -> float:
    """The probability that the error ratio is at most 2."""
    constant, *weights = CALIBRATION
    logit = constant + sum(w * s for w, s in zip(weights, astuple(signs), strict=True))
    return 1 / (1 + math.exp(-max(min(logit, 30.0), -30.0)))
