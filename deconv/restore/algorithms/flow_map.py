"""Restoration with a normalizing flow as the density of patches."""

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

__all__ = ["flow_map", "iterates"]


@explain_common_options
def flow_map(
    image: Image | Sequence[Image],
    psf: Any = None,
    prior: str | os.PathLike | ImagePrior = "flow",
    *,
    weight: float | Tensor = 0.27,
    stride: int | None = None,
    num_iter: int = 9,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Deblur with the density of images that a flow of inverse convolutions learnt from photographs.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 - \lambda\sigma^2 \log p(x)

    by half-quadratic splitting. The flow knows the density with noise, too, and Tweedie's formula makes a denoiser of
    it, :math:`z = x + s^2 \nabla \log p_s(x)`, used at noise levels s from the contrast down to the noise. The gradient
    goes through the flow by exact solves. It starts from `hyper_laplacian`. The slices of a volume count as images.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor, optional
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel. Where it
        varies over the field, `psf_field` takes its place.
    prior : str, path or ImagePrior
        ``"flow"``, learnt from photographs; ``"gmm"``, the mixture of `epll`; a file that `deconv.prior.save_prior`
        wrote; or a prior. It sees the image at the contrast that it was learnt at.
    weight : float or Tensor
        :math:`\lambda`; 0.2 to 0.5 is usual.
    stride : int, optional
        Rows and columns between blocks, half as many in the last iteration; the grids are others every time. By default
        what suits the prior: 8 for a flow, one grid of blocks, and 3 for a mixture, whose patches overlap.
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
    Altekrüger, Denker, Hagemann, Hertrich, Maass and Steidl, "PatchNR: learning from very few images by patch
    normalizing flow regularization", Inverse Problems 2023. Splitting: Zhang, Li, Zuo, Zhang, Van Gool and Timofte,
    "Plug-and-play image restoration with deep denoiser prior", IEEE TPAMI 2021. Robbins, "An empirical Bayes approach
    to statistics", 1956 (Tweedie's formula).
    """
    return run(
        image,
        psf,
        lambda problem: iterates(problem, prior, weight=weight, stride=stride),
        num_iter=num_iter,
        name="flow_map",
        given=(weight,),
        noise_rule=with_psf_error,
        **common,
    )


def iterates(
    problem: Problem,
    prior: str | os.PathLike | ImagePrior = "flow",
    *,
    weight: float | Tensor = 0.27,
    stride: int | None = None,
) -> Iterator[Tensor]:
    """Latent images of `flow_map`."""
    return most_probable(problem, load_prior(prior), weight=weight, stride=stride)
