"""Restoration with as few edges as possible: for text, drawings and screens."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from .derivatives import Gradient
from .frame import iterative
from .problem import Problem, growing
from .shrinkage import hard
from .splitting import Term, sparse

__all__ = ["l0_gradient"]

# weight = coefficient * noise^power, in units of the contrast; see `hyper_laplacian`.
_COEFFICIENT, _POWER = 0.15, 1.33
_PENALTIES = 30.0, 3000.0


@iterative(num_iter=40)
def l0_gradient(problem: Problem, *, weight: float | Tensor | None = None) -> Iterator[Tensor]:
    r"""Deblur with the fewest pixels at which the gradient is not zero.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 + \lambda\, \# \{ p : \nabla x(p) \ne 0 \}

    Photographs come out as if painted; pictures that are made of flat colours come out as they were.

    Parameters
    ----------
    weight: :math:`\lambda`, in the image's unit squared; None: chosen from the noise.

    References
    ----------
    Xu, Lu, Xu and Jia, "Image smoothing via L0 gradient minimization", SIGGRAPH Asia 2011; for deblurring: Xu, Zheng
    and Jia, "Unnatural L0 sparse representation for natural image deblurring", CVPR 2013.
    """
    unit = problem.statistics.contrast.square()
    if weight is None:
        weight = _COEFFICIENT * problem.noise_to_signal**_POWER * unit
    penalty, growth = growing(_PENALTIES, weight / unit, problem.num_iter)
    term = Term(Gradient(problem.space), lambda v, t: hard(v, t * weight), penalty, growth)
    return sparse(problem.domain, [term])
