r"""How likely an estimated psf is right, from what can be seen without the truth.

.. math:: p = \frac{1}{1 + \exp(-w_0 - \sum_i w_i s_i)} ,

the probability that the error ratio is at most 2, by logistic regression over the signs s; ``deconv bench blind --suite
wide --half tune --calibrate`` fits the weights, ``--suite harsh`` too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from torch import Tensor

from .evidence import Hypothesis
from .metrics import kernel_similarity

__all__ = ["CALIBRATION", "Signs", "confidence", "signs_of"]


@dataclass(frozen=True)
class Signs:
    """What tells right psfs from wrong ones.

    Attributes
    ----------
    agreement : float
        Mean similarity of the psf to the hypotheses that reached the finest scale.
    """

    agreement: float


# The constant, and the weight of the sign: of 294 psfs, 247 of them right, with a ridge that keeps what the sign says
# near to that share. The lead over no blur, the misfit, the noise, the psf's extent and forty more were tried: what
# they told of some photographs they did not tell of others.
CALIBRATION = (-1.211, 3.151)


def signs_of(psf: Tensor, survivors: Sequence[Hypothesis]) -> Signs:
    """The signs of the psf chosen."""
    return Signs(agreement=sum(kernel_similarity(psf, each.psf) for each in survivors) / len(survivors))


def confidence(signs: Signs) -> float:
    """The probability that the error ratio is at most 2."""
    constant, *weights = CALIBRATION
    return 1 / (1 + math.exp(-constant - sum(w * s for w, s in zip(weights, astuple(signs), strict=True))))
