"""Restoration with a mixture of Gaussians as the density of patches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from ...prior import ImagePrior, load_prior
from ..common_options import CommonOptions, explain_common_options
from ..problem import Problem
from ..psf_error import with_psf_error
from ..run import Image, run
from ..with_prior import most_probable

__all__ = ["epll", "iterates"]


@explain_common_options
def epll(
    image: Image | Sequence[Image],
    psf: Any = None,
    prior: str | os.PathLike | ImagePrior = "gmm",
    *,
    weight: float | Tensor = 0.3,
    stride: int | None = None,
    num_iter: int = 8,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Deblur with the expected patch log-likelihood of a Gaussian mixture.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 - \frac{\lambda\sigma^2}{64} \sum_i \log p(P_i x)

    by half-quadratic splitting, where the step for the prior is the mean of the clean patches behind the noisy ones,
    one Wiener filter for each component that may be there. It starts from `hyper_laplacian`. Sharp, and better at
    texture than priors on derivatives. The slices of a volume count as images.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor, optional
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel. Where it
        varies over the field, `psf_field` takes its place.
    prior : str, path or ImagePrior
        ``"gmm"``, 200 components learnt from photographs; a file that `deconv.prior.save_prior` wrote; or a prior. It
        sees patches at the contrast that it was learnt at.
    weight : float or Tensor
        :math:`\lambda`; 0.2 to 0.5 is usual.
    stride : int, optional
        Rows and columns between patches, which start elsewhere in each iteration; half as many in the last one. By
        default 3.
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
    Zoran and Weiss, "From learning models of natural image patches to whole image restoration", ICCV 2011. Random
    grids: Parameswaran, Deledalle, Denis and Nguyen, "Accelerating GMM-based patch priors for image restoration", IEEE
    TIP 2019.
    """
    return run(
        image,
        psf,
        lambda problem: iterates(problem, prior, weight=weight, stride=stride),
        num_iter=num_iter,
        name="epll",
        given=(weight,),
        noise_rule=with_psf_error,
        **common,
    )


def iterates(
    problem: Problem,
    prior: str | os.PathLike | ImagePrior = "gmm",
    *,
    weight: float | Tensor = 0.3,
    stride: int | None = None,
) -> Iterator[Tensor]:
    """Latent images of `epll`."""
    return most_probable(problem, load_prior(prior), weight=weight, stride=stride)
