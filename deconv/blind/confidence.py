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
from .image_step import Scale
from .metrics import kernel_similarity
from .power_spectrum import excess

__all__ = ["CALIBRATION", "Signs", "confidence", "signs_of"]


@dataclass(frozen=True)
class Signs:
    """What tells right psfs from wrong ones.

    Attributes
    ----------
    agreement : float
        Mean similarity of the psf to the hypotheses that reached the finest scale.
    excess : float
        By how many hundred nats the psf explains the power spectrum worse than the best of many paths, from -1 to 3.
    """

    agreement: float
    excess: float


# The constant, and the weights of the signs: of 219 psfs, 177 of them right, with a ridge that keeps what the signs say
# near to that share. The lead over no blur, the misfit, the noise, the psf's extent and forty more were tried: what
# they told of some photographs they did not tell of others.
CALIBRATION = (-1.686, 3.391, -1.271)

# What the excess counts at least and at most.
_LEAST, _MOST = -1.0, 3.0


def signs_of(psf: Tensor, survivors: Sequence[Hypothesis], scales: Sequence[Scale]) -> Signs:
    """The signs of the psf chosen, of those that reached the finest scale, at the scales of `pyramid`."""
    agreement = sum(kernel_similarity(psf, each.psf) for each in survivors) / len(survivors)
    return Signs(agreement, min(_MOST, max(_LEAST, excess(scales, psf) / 100)))


def confidence(signs: Signs) -> float:
    """The probability that the error ratio is at most 2."""
    constant, *weights = CALIBRATION
    return 1 / (1 + math.exp(-constant - sum(w * s for w, s in zip(weights, astuple(signs), strict=True))))
