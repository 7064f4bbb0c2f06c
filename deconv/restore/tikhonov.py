"""Restoration under a quadratic prior: the least of the squared derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from ..imaging.convolution import psf_to_otf
from .derivatives import Gradient, Hessian, Identity
from .frame import iterative
from .problem import Problem, as_filter
from .splitting import quadratic

__all__ = ["tikhonov"]

_DERIVATIVES = (Identity, Gradient, Hessian)

# weight = coefficient * noise^power, in units of the contrast, for each order; see `hyper_laplacian`.
_COEFFICIENTS, _POWER = (1.2, 0.7, 0.6), 1.5


@iterative(num_iter=20)
def tikhonov(
    problem: Problem,
    *,
    weight: float | Tensor | None = None,
    order: int = 2,
    operators: Sequence[Any] | None = None,
) -> Iterator[Tensor]:
    r"""Deblur under a bound on the energy of the image or of its derivatives.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 + \tfrac{\lambda}{2} \sum_i \| d_i * x \|^2

    Linear in the image, for a given weight, and quick. What a least-squares method can do about an unknown
    boundary or a mask.

    Parameters
    ----------
    weight: :math:`\lambda`; None: chosen from the noise.
    order: which derivatives: 0 the image itself, 1 its gradient, 2 its second derivatives.
    operators: filters :math:`d_i`, arrays with as many axes as the psf, in the place of derivatives.

    References
    ----------
    Tikhonov, "Solution of incorrectly formulated problems and the regularization method", 1963; Phillips,
    J. ACM 1962.
    """
    domain = problem.domain
    if order not in (0, 1, 2):
        raise ValueError(f"order: expected 0, 1 or 2, given {order}")
    if operators is None:
        power = _DERIVATIVES[order](problem.space).power(domain.shape, problem.image)
    else:
        filters = [as_filter(d, problem.image, name="operators") for d in operators]
        power = sum(psf_to_otf(d, domain.shape).abs().square() for d in filters)
    if weight is None:
        weight = _COEFFICIENTS[order] * problem.noise_to_signal**_POWER
    return quadratic(domain, weight * power)
