"""Wiener restoration without a parameter: the spectra of image and noise are estimated from the observation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from ..common_options import CommonOptions, explain_common_options
from ..problem import Problem
from ..run import Image, run, warn_of_ripples
from ..spectra import fit_spectra
from ..splitting import quadratic

__all__ = ["iterates", "unsupervised_wiener"]


@explain_common_options
def unsupervised_wiener(image: Image, psf: Any = None, *, num_iter: int = 20, **common: Unpack[CommonOptions]) -> Image:
    r"""Deblur with the least mean squared error among linear methods, all parameters estimated.

    .. math:: \min_x \tfrac12 \| y - h * x \|^2
        + \tfrac12 \sum_\omega \frac{n}{S(\omega)} |\hat x(\omega)|^2

    The noise n and the image's spectrum S, a power law of unknown slope, maximise the likelihood of the observation;
    see `deconv.restore.spectra`. `sigma` is but their first guess.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel.
    num_iter : int
        Iterations, at most.
    **common : CommonOptions
        What all take: sigma, boundary, mask, white, linear, statistics, tolerance, callback, progress, info.

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
    Orieux, Giovannelli and Rodet, "Bayesian estimation of regularization and point spread function parameters for
    Wiener-Hunt deconvolution", JOSA A 2010, who sample from the posterior instead. The likelihood: Whittle, Ark.
    Mat. 1953.
    """
    return run(image, psf, iterates, num_iter=num_iter, name="unsupervised_wiener", **common)


def iterates(problem: Problem) -> Iterator[Tensor]:
    """Latent images of `unsupervised_wiener`."""
    warn_of_ripples(problem)
    domain = problem.domain
    spectra = fit_spectra(problem.image, domain.psf, problem.statistics.sigma)
    return quadratic(domain, spectra.noise_to_signal(domain.shape).to(problem.image.dtype))
