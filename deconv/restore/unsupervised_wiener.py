"""Wiener restoration without a parameter: the spectra of scene and noise are learnt from the observation."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from .frame import iterative
from .problem import Problem
from .spectra import fit_spectra
from .splitting import quadratic

__all__ = ["unsupervised_wiener"]


@iterative(num_iter=20)
def unsupervised_wiener(problem: Problem) -> Iterator[Tensor]:
    r"""Deblur with the least mean squared error among linear methods, all parameters estimated.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2
        + \tfrac12 \sum_\omega \frac{n}{S(\omega)} |\hat x(\omega)|^2

    The noise n and the scene's spectrum S, a power law of unknown slope, maximise the likelihood of the
    observation; see `deconv.restore.spectra`. `sigma` is but their first guess.

    References
    ----------
    Orieux, Giovannelli and Rodet, "Bayesian estimation of regularization and point spread function parameters for
    Wiener-Hunt deconvolution", JOSA A 2010, who sample from the posterior instead. The likelihood: Whittle, Ark.
    Mat. 1953.
    """
    domain, statistics = problem.domain, problem.statistics
    spectra = fit_spectra(problem.image, domain.psf, statistics.sigma)
    return quadratic(domain, spectra.noise_to_signal(domain.shape).to(problem.image.dtype))
