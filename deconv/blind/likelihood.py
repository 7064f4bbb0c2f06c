r"""The psf under which a photograph is likeliest, for a given density of photographs: descent through the solver.

Per pixel, with noise of standard deviation :math:`\sigma` and the restoration
:math:`x_h = A_p^{-T} A_p^{-1} (h \star y)`,

.. math:: J(h) = \frac{|h * x_h - y|^2}{2 \sigma^2} - \log p(x_h) + \log|\det A_p| , \qquad
    |P|^2 = |H|^2 + \lambda G ,

which is Laplace's approximation of minus the log evidence: the scenes around :math:`x_h` that would do as well have
the covariance :math:`\sigma^2 (A_p A_p^T)^{-1}`. The recursive Wiener filter gives all three terms from one spectral
factor p, the last one as the logarithm of its anchor.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

from ..imaging.boundary import extend
from ..imaging.convolution import convolve
from ..nn.recursive_filter import fading_margins, recursive_filter, wiener_factor
from ..prior import ImagePrior, Prior, load_prior
from ..prior.image_prior import CONTRAST
from .observation import Observation

__all__ = ["as_prior", "likeliest", "surprise"]

_STEPS, _RATE = 8, 0.01


def as_prior(prior: str | os.PathLike | Prior) -> Prior:
    """A density of photographs: ``"flow"``, another name or a file of `deconv.prior.load_prior`, or an object with
    ``log_prob(image, sigma)``.

    Raises
    ------
    FileNotFoundError, ValueError: as `load_prior`. TypeError: neither a name nor a prior.
    """
    if not isinstance(prior, (str, os.PathLike)) and not isinstance(prior, Prior):
        raise TypeError(f"prior: expected a name, a file or a prior, given {type(prior).__name__}")
    return load_prior(prior)


def surprise(piece: Observation, psf: Tensor, prior: Prior) -> Tensor:
    """J per pixel, up to a constant, differentiable in the psf `(kh, kw)`; the lowest is the likeliest."""
    factor, transposed = wiener_factor(psf, piece.sigma**2)
    margins = fading_margins(psf.shape)
    scene = recursive_filter(extend(piece.image, margins), margins, psf, factor, transposed=transposed)
    seen = convolve(scene, psf)
    inside = piece.image[..., psf.shape[0] // 2 :, psf.shape[1] // 2 :][..., : seen.shape[-2], : seen.shape[-1]]
    misfit = (seen - inside).square().mean() / (2 * piece.sigma**2)
    options = {"stride": prior.spacing} if isinstance(prior, ImagePrior) else {}
    natural = prior.log_prob(0.5 + CONTRAST * scene, CONTRAST * piece.sigma, **options).sum() / scene.numel()
    return misfit - natural + factor[-1, factor.shape[-1] // 2].abs().log()


@torch.enable_grad()
def likeliest(piece: Observation, start: Tensor, prior: Prior, *, num_iter: int = _STEPS) -> Tensor:
    """The psf of least J on the way down from one on the simplex; the start where nothing is less."""
    # Taps at zero stay there: a multiplicative step never leaves the simplex, nor the support.
    logits = start.clamp_min(1e-12).log().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=_RATE)
    best, least = start, float("inf")
    for _ in range(num_iter + 1):
        psf = logits.reshape(-1).softmax(0).view_as(start)
        value = surprise(piece, psf, prior)
        if float(value.detach()) < least:
            best, least = psf.detach(), float(value.detach())
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    return best
