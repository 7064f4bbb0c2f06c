"""Restoration with as few edges as possible: for text, drawings and screens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from ..arguments import check_weight
from ..common_options import CommonOptions, explain_common_options
from ..derivatives import Gradient
from ..problem import Problem
from ..run import Image, run
from ..shrinkage import Shrinkage
from ..splitting import Term, growing, sparse

__all__ = ["iterates", "l0_gradient"]

# weight = coefficient * noise^power, in units of the contrast; see `hyper_laplacian`.
_COEFFICIENT, _POWER = 0.15, 1.33
_PENALTIES = 30.0, 3000.0


@explain_common_options
def l0_gradient(
    image: Image | Sequence[Image],
    psf: Any = None,
    *,
    weight: float | Tensor | None = None,
    num_iter: int = 40,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Deblur with the fewest pixels at which the gradient is not zero.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 + \lambda\, \# \{ p : \nabla x(p) \ne 0 \}

    Photographs come out as if painted; pictures that are made of flat colours come out as they were. A count of what is
    exactly zero cannot be evaluated in floating point: `info` tells no objective.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor, optional
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel. Where it
        varies over the field, `psf_field` takes its place.
    weight : float or Tensor, optional
        :math:`\lambda`, in the image's unit squared; by default chosen from the noise.
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
    Xu, Lu, Xu and Jia, "Image smoothing via L0 gradient minimization", SIGGRAPH Asia 2011; for deblurring: Xu, Zheng
    and Jia, "Unnatural L0 sparse representation for natural image deblurring", CVPR 2013.
    """
    return run(
        image,
        psf,
        lambda problem: iterates(problem, weight=weight),
        num_iter=num_iter,
        name="l0_gradient",
        given=(weight,),
        **common,
    )


def iterates(problem: Problem, *, weight: float | Tensor | None = None) -> Iterator[Tensor]:
    """Latent images of `l0_gradient`."""
    contrast = problem.statistics.typical_contrast
    unit = contrast.square()
    if weight is not None:
        check_weight(weight)
        threshold = problem.in_own_unit(weight, 2.0)
    else:
        threshold = _COEFFICIENT * (problem.statistics.sigma / contrast) ** _POWER * unit
    penalty, growth = growing(_PENALTIES, threshold / unit, problem.num_iter)
    return sparse(problem.domain, [Term(Gradient(problem.space), Shrinkage("hard", threshold), penalty, growth)])
