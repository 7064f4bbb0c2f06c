"""Restoration under a hyper-Laplacian prior: most derivatives of a photograph are almost zero, a few large."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .derivatives import Gradient, Hessian
from .frame import Problem, iterative
from .shrinkage import power
from .splitting import Term, split

__all__ = ["hyper_laplacian"]

# weight = 0.16 sigma^1.36, penalty = 70 weights
_COEFFICIENT, _POWER, _STIFFNESS = 1.7, 1.8, 60.0


@iterative(num_iter=30)
def hyper_laplacian(
    problem: Problem, *, weight: float | Tensor | None = None, alpha: float = 0.8, second_order: float = 0.8
) -> Iterator[Tensor]:
    r"""Deblur with a sparse prior on first and second derivatives.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2
        + \lambda \sum_p \big( |\nabla x(p)|^\alpha + \mu\, |\nabla^2 x(p)|^\alpha \big)

    Parameters
    ----------
    weight: :math:`\lambda`; None: chosen from the noise level.
    alpha: exponent in (0, 1]; 1/2, 2/3 and 0.8 are usual.
    second_order: :math:`\mu`, weight of the second derivatives; 0 leaves them out, as the paper does.

    References
    ----------
    Krishnan and Fergus, "Fast image deconvolution using hyper-Laplacian priors", NIPS 2009.
    Second derivatives: Levin, Fergus, Durand and Freeman, "Image and depth from a conventional camera with a
    coded aperture", SIGGRAPH 2007.
    """
    space = len(problem.canvas.axes)
    if weight is None:
        weight = _COEFFICIENT * problem.sigma**_POWER
    terms = []
    for analysis, share in ((Gradient(space), 1.0), (Hessian(space), second_order)):
        if share:
            terms.append(
                Term(analysis, lambda v: power(v, 1 / _STIFFNESS, alpha), share * _STIFFNESS * weight)
            )
    yield from split(problem.canvas, terms)
