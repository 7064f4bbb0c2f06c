"""Restoration under a total-variation prior: a scene of flat regions with few and short edges between them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .derivatives import Gradient
from .frame import iterative
from .problem import Problem, positive
from .shrinkage import soft
from .splitting import Term, sparse

__all__ = ["total_variation"]

# weight = coefficient * noise^power, in units of the contrast; see `hyper_laplacian`.
_COEFFICIENT, _POWER, _PENALTY = 0.28, 1.33, 4.0


@iterative(num_iter=40)
def total_variation(
    problem: Problem, *, weight: float | Tensor | None = None, isotropic: bool = True
) -> Iterator[Tensor]:
    r"""Deblur with the least total variation.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 + \lambda \sum_p | \nabla x(p) |

    Convex, so that the result does not depend on the way there. Volumes are as welcome as images.

    Parameters
    ----------
    weight: :math:`\lambda`; None: chosen from the noise level.
    isotropic: the length of the gradient is the Euclidean one; False: the sum of the absolute derivatives,
        which favours edges along the axes.

    References
    ----------
    Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 1992.
    Wang, Yang, Yin and Zhang, "A new alternating minimization algorithm for total variation image
    reconstruction", SIAM J. Imaging Sciences 2008.
    """
    contrast = problem.statistics.contrast
    if weight is None:
        weight = (_COEFFICIENT if isotropic else 0.8 * _COEFFICIENT) * problem.noise_to_signal**_POWER * contrast
    penalty = positive(_PENALTY * weight / contrast)

    def prox(v: Tensor, t: Tensor | float) -> Tensor:
        if isotropic:
            return soft(v, t * weight)
        return torch.cat([soft(part, t * weight) for part in v.split(1)])

    return sparse(problem.domain, [Term(Gradient(problem.space), prox, penalty)])
