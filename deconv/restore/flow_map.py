"""Restoration with a normalizing flow as the density of patches."""

from __future__ import annotations

import os
from collections.abc import Iterator

from torch import Tensor

from ..prior import ImagePrior, load_prior
from .frame import iterative
from .problem import Problem
from .with_prior import map_scenes

__all__ = ["flow_map"]


@iterative(num_iter=9)
def flow_map(
    problem: Problem,
    prior: str | os.PathLike | ImagePrior = "flow",
    *,
    weight: float | Tensor = 0.27,
    stride: int | None = None,
) -> Iterator[Tensor]:
    r"""Deblur with the density of images that a flow of inverse convolutions learnt from photographs.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 - \lambda\sigma^2 \log p(x)

    by half-quadratic splitting. The flow knows the density with noise, too, and Tweedie's formula makes a denoiser of
    it, :math:`z = x + s^2 \nabla \log p_s(x)`, used at levels s from the contrast down to the noise. The gradient
    goes through the flow by exact solves. It starts from `hyper_laplacian`.

    Parameters
    ----------
    prior: ``"flow"``, learnt from photographs; ``"gmm"``, the mixture of `epll`; a file that
        `deconv.prior.save_prior` wrote; or a prior. It sees the image at the contrast that it was learnt at.
    weight: :math:`\lambda`; 0.2 to 0.5 is usual.
    stride: rows and columns between blocks, half as many in the last iteration; the grids are others every time. None:
        what suits the prior: 8 for a flow, one grid of blocks, and 3 for a mixture, whose patches overlap.

    References
    ----------
    Altekrüger, Denker, Hagemann, Hertrich, Maass and Steidl, "PatchNR: learning from very few images by patch
    normalizing flow regularization", Inverse Problems 2023. Splitting: Zhang, Li, Zuo, Zhang, Van Gool and Timofte,
    "Plug-and-play image restoration with deep denoiser prior", IEEE TPAMI 2021. Robbins, "An empirical Bayes approach
    to statistics", 1956 (Tweedie's formula).
    """
    return map_scenes(problem, load_prior(prior), weight=weight, stride=stride)
