"""Restoration under a hyper-Laplacian prior: of a photograph's derivatives most are tiny, and a few large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from ..arguments import check_weight
from ..common_options import CommonOptions, explain_common_options
from ..derivatives import Gradient, Hessian
from ..problem import Problem
from ..run import Image, run
from ..shrinkage import Shrinkage, length
from ..splitting import Analysis, Term, growing, sparse

__all__ = ["hyper_laplacian", "iterates"]

# weight = coefficient * noise^power, in units of the contrast: within 0.02 dB of the best for noise of 0.5, 1
# and 3 % in photographs under camera shake.
_COEFFICIENT, _POWER = 0.21, 1.33

# Penalty of the splitting over the weight, in that unit, in the first iteration and in the last one.
_PENALTIES = 1.0, 60.0


@explain_common_options
def hyper_laplacian(
    image: Image | Sequence[Image],
    psf: Any = None,
    *,
    weight: float | Tensor | None = None,
    alpha: float = 0.8,
    second_order: float | Tensor = 0.8,
    num_iter: int = 30,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Deblur with a sparse prior on first and second derivatives.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2
        + \lambda \sum_p \big( |\nabla x(p)|^\alpha + \mu\, |\nabla^2 x(p)|^\alpha \big)

    Sharp edges and clean flat regions for little time: the method to try first.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor, optional
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel. Where it
        varies over the field, `psf_field` takes its place.
    weight : float or Tensor, optional
        :math:`\lambda`, in the image's unit to the power :math:`2 - \alpha`; by default chosen from the noise.
    alpha : float
        The exponent, in (0, 1]; 1/2, 2/3 and 0.8 are usual.
    second_order : float or Tensor
        :math:`\mu`; 0 leaves the second derivatives out, as the paper does.
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
    Krishnan and Fergus, "Fast image deconvolution using hyper-Laplacian priors", NIPS 2009.
    Second derivatives: Levin, Fergus, Durand and Freeman, "Image and depth from a conventional camera with a
    coded aperture", SIGGRAPH 2007.
    """
    return run(
        image,
        psf,
        lambda problem: iterates(problem, weight=weight, alpha=alpha, second_order=second_order),
        num_iter=num_iter,
        name="hyper_laplacian",
        given=(weight, second_order),
        **common,
    )


def iterates(
    problem: Problem,
    *,
    weight: float | Tensor | None = None,
    alpha: float = 0.8,
    second_order: float | Tensor = 0.8,
) -> Iterator[Tensor]:
    """Latent images of `hyper_laplacian`."""
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha: expected an exponent in (0, 1], given {alpha}")
    check_weight(second_order, name="second_order")
    unit = problem.statistics.contrast ** (2 - alpha)
    if weight is not None:
        check_weight(weight)
        weight = problem.in_own_unit(weight, 2 - alpha)
    else:
        weight = _COEFFICIENT / (1 + second_order) * problem.relative_noise**_POWER * unit
    penalty, growth = growing(_PENALTIES, weight / unit, problem.num_iter)

    def term(analysis: Analysis, share: float | Tensor) -> Term:
        return Term(
            analysis,
            prox=Shrinkage("power", share * weight, alpha),
            penalty=share * penalty,
            growth=growth,
            value=lambda v: share * weight * length(v) ** alpha,
        )

    terms = [term(Gradient(problem.space), 1.0)]
    if torch.is_tensor(second_order) or second_order:
        terms.append(term(Hessian(problem.space), second_order))
    return sparse(problem.domain, terms)
