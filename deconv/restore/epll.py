"""Restoration with a mixture of Gaussians as the density of patches."""

from __future__ import annotations

import os
from collections.abc import Iterator

from torch import Tensor

from ..prior import ImagePrior, load_prior
from .frame import iterative
from .problem import Problem
from .with_prior import map_scenes

__all__ = ["epll"]


@iterative(num_iter=8)
def epll(
    problem: Problem,
    prior: str | os.PathLike | ImagePrior = "gmm",
    *,
    weight: float | Tensor = 0.3,
    stride: int | None = None,
) -> Iterator[Tensor]:
    r"""Deblur with the expected patch log-likelihood of a Gaussian mixture.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2 - \frac{\lambda\sigma^2}{64} \sum_i \log p(P_i x)

    by half-quadratic splitting, where the step for the prior is the mean of its clean patches behind the noisy ones,
    one Wiener filter for each component that may be there. It starts from `hyper_laplacian`. Sharp, and better at
    texture than priors on derivatives.

    Parameters
    ----------
    prior: ``"gmm"``, 200 components learnt from photographs; a file that `deconv.prior.save_prior` wrote; or a
        prior. Its patches are seen at the contrast that they were learnt at.
    weight: :math:`\lambda`; 0.2 to 0.5 is usual.
    stride: rows and columns between patches, which start elsewhere in each iteration; half as many in the last one.
        None: 3.

    References
    ----------
    Zoran and Weiss, "From learning models of natural image patches to whole image restoration", ICCV 2011. Random
    grids: Parameswaran, Deledalle, Denis and Nguyen, "Accelerating GMM-based patch priors for image restoration", IEEE
    TIP 2019.
    """
    return map_scenes(problem, load_prior(prior), weight=weight, stride=stride)
