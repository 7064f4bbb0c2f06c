"""Restoration under a quadratic penalty: the least of the squared derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from torch import Tensor
from typing_extensions import Unpack

from ...choices import check_choice
from ...imaging.convolution import psf_to_otf
from ..arguments import as_filter, check_weight
from ..common_options import CommonOptions, explain_common_options
from ..derivatives import Gradient, Hessian, Identity
from ..problem import Problem
from ..run import Image, run, warn_of_ripples
from ..splitting import quadratic

__all__ = ["iterates", "tikhonov"]

_DERIVATIVES = (Identity, Gradient, Hessian)

# weight = coefficient * noise^power, in units of the contrast, for each order; see `hyper_laplacian`.
_COEFFICIENTS, _POWER = (1.2, 0.7, 0.6), 1.5


@explain_common_options
def tikhonov(
    image: Image | Sequence[Image],
    psf: Any = None,
    *,
    weight: float | Tensor | None = None,
    order: Literal[0, 1, 2] = 2,
    operators: Sequence[Any] | None = None,
    num_iter: int = 20,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Deblur with the least energy of the image or of its derivatives.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 + \tfrac{\lambda}{2} \sum_i \| d_i * x \|^2

    Linear in the image, for a given weight, and quick: least squares with an unknown boundary or a mask.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor, optional
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel. Where it
        varies over the field, `psf_field` takes its place.
    weight : float or Tensor, optional
        :math:`\lambda`; by default chosen from the noise.
    order : {2, 1, 0}
        Which derivatives: 0 the image itself, 1 its gradient, 2 its second derivatives.
    operators : sequence of array, optional
        Filters :math:`d_i` with as many axes as the psf, in the place of derivatives.
    num_iter : int
        Iterations, at most.
    **common : CommonOptions
        What all take, such as sigma, boundary, mask, frames and psf_field.

    Returns
    -------
    array or Tensor
        The restored image: kind of array, layout, dtype and range of `image`. Floats are not clipped.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what is allowed.

    References
    ----------
    Tikhonov, "Solution of incorrectly formulated problems and the regularization method", 1963; Phillips,
    J. ACM 1962.
    """
    return run(
        image,
        psf,
        lambda problem: iterates(problem, weight=weight, order=order, operators=operators),
        num_iter=num_iter,
        name="tikhonov",
        given=(weight,),
        **common,
    )


def iterates(
    problem: Problem,
    *,
    weight: float | Tensor | None = None,
    order: Literal[0, 1, 2] = 2,
    operators: Sequence[Any] | None = None,
) -> Iterator[Tensor]:
    """Latent images of `tikhonov`."""
    check_choice("order", order, (0, 1, 2))
    warn_of_ripples(problem)
    domain = problem.domain
    if operators is None:
        power = _DERIVATIVES[order](problem.space).power(domain.shape, problem.image)
    else:
        filters = [as_filter(d, problem.image, name="operators") for d in operators]
        power = sum((psf_to_otf(d, domain.shape).abs().square() for d in filters), problem.image.new_zeros(()))
    if weight is None:
        noise = problem.statistics.sigma / problem.statistics.typical_contrast
        weight = _COEFFICIENTS[order] * noise**_POWER
    else:
        check_weight(weight)
    return quadratic(domain, weight * power)
