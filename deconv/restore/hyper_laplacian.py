"""Restoration under a hyper-Laplacian prior: of a photograph's derivatives most are tiny, and a few large."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .derivatives import Gradient, Hessian
from .frame import iterative
from .problem import Problem, growing
from .shrinkage import power
from .splitting import Analysis, Term, sparse

__all__ = ["hyper_laplacian"]

# weight = coefficient * noise^power, in units of the contrast: within 0.02 dB of the best for noise of 0.5, 1
# and 3 % in photographs under camera shake.
_COEFFICIENT, _POWER = 0.21, 1.33

# Penalty of the splitting over the weight, in that unit, in the first iteration and in the last one.
_PENALTIES = 1.0, 60.0


@iterative(num_iter=30)
def hyper_laplacian(
    problem: Problem, *, weight: float | Tensor | None = None, alpha: float = 0.8, second_order: float = 0.8
) -> Iterator[Tensor]:
    r"""Deblur with a sparse prior on first and second derivatives.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2
        + \lambda \sum_p \big( |\nabla x(p)|^\alpha + \mu\, |\nabla^2 x(p)|^\alpha \big)

    Sharp edges and clean flat regions for little time: the method to try first.

    Parameters
    ----------
    weight: :math:`\lambda`, in the image's unit to the power :math:`2 - \alpha`; None: chosen from the noise.
    alpha: the exponent, in (0, 1]; 1/2, 2/3 and 0.8 are usual.
    second_order: :math:`\mu`; 0 leaves the second derivatives out, as the paper does.

    References
    ----------
    Krishnan and Fergus, "Fast image deconvolution using hyper-Laplacian priors", NIPS 2009.
    Second derivatives: Levin, Fergus, Durand and Freeman, "Image and depth from a conventional camera with a
    coded aperture", SIGGRAPH 2007.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha: expected an exponent in (0, 1], given {alpha}")
    unit = problem.statistics.contrast ** (2 - alpha)
    if weight is None:
        weight = _COEFFICIENT / (1 + second_order) * problem.noise_to_signal**_POWER * unit
    penalty, growth = growing(_PENALTIES, weight / unit, problem.num_iter)

    def term(analysis: Analysis, share: float | Tensor) -> Term:
        return Term(analysis, lambda v, t: power(v, share * t * weight, alpha), share * penalty, growth)

    terms = [term(Gradient(problem.space), 1.0)]
    if torch.is_tensor(second_order) or second_order:
        terms.append(term(Hessian(problem.space), second_order))
    return sparse(problem.domain, terms)
