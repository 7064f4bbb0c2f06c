"""Restoration under a total-variation penalty: flat regions with few and short edges between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from ..arguments import check_weight
from ..common_options import CommonOptions, explain_common_options
from ..derivatives import Gradient
from ..problem import Problem
from ..run import Image, run
from ..shrinkage import Shrinkage, length
from ..splitting import Term, positive, sparse

__all__ = ["iterates", "total_variation"]

# weight = coefficient * noise^power, in units of the contrast; see `hyper_laplacian`.
_COEFFICIENT, _POWER, _PENALTY = 0.28, 1.33, 4.0


@explain_common_options
def total_variation(
    image: Image | Sequence[Image],
    psf: Any = None,
    *,
    weight: float | Tensor | None = None,
    isotropic: bool = True,
    num_iter: int = 40,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Deblur with the least total variation.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 + \lambda \sum_p | \nabla x(p) |

    Convex, so that the result does not depend on where it starts. For images and volumes.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor, optional
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel. Where it
        varies over the field, `psf_field` takes its place.
    weight : float or Tensor, optional
        :math:`\lambda`, in the image's unit; by default chosen from the noise.
    isotropic : bool
        The length of the gradient is the Euclidean one; False: the sum of the absolute derivatives, which favours edges
        along the axes.
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
    Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 1992.
    Wang, Yang, Yin and Zhang, "A new alternating minimization algorithm for total variation image
    reconstruction", SIAM J. Imaging Sciences 2008.
    """
    return run(
        image,
        psf,
        lambda problem: iterates(problem, weight=weight, isotropic=isotropic),
        num_iter=num_iter,
        name="total_variation",
        given=(weight,),
        **common,
    )


def iterates(problem: Problem, *, weight: float | Tensor | None = None, isotropic: bool = True) -> Iterator[Tensor]:
    """Latent images of `total_variation`."""
    contrast = problem.statistics.contrast
    if weight is not None:
        check_weight(weight)
        weight = problem.in_own_unit(weight)
    else:
        weight = (_COEFFICIENT if isotropic else 0.8 * _COEFFICIENT) * problem.relative_noise**_POWER * contrast
    penalty = positive(_PENALTY * weight / contrast)

    shrinkage = Shrinkage("soft", weight)

    def apart(v: Tensor, t: Tensor | float) -> Tensor:
        return torch.cat([shrinkage(part, t) for part in v.split(1)])

    def value(v: Tensor) -> Tensor:
        return weight * (length(v) if isotropic else v.abs().sum(0))

    return sparse(
        problem.domain, [Term(Gradient(problem.space), shrinkage if isotropic else apart, penalty, value=value)]
    )
