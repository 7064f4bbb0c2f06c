r"""Descent along gradients that run through the recursive Wiener filter, over psfs on the simplex.

With :math:`x_h = R_h y = A_p^{-T} A_p^{-1} (h \star y)` the restoration by the recursive Wiener filter of a psf h, two
objectives are descended. Where the sharp image x is known, the *output error*

.. math:: E(h) = | x - R_h y |^2 ;

and where only a density p of sharp images is, minus the log evidence per pixel by Laplace's approximation,

.. math:: J(h) = \frac{|h * x_h - y|^2}{2 \sigma^2} - \log p(x_h) + \log|\det A_p| , \qquad
    |P|^2 = |H|^2 + \lambda G ,

since the posterior covariance around :math:`x_h` is :math:`\sigma^2 (A_p A_p^T)^{-1}`. The filter gives all three terms
from one spectral factor p, the last one as the logarithm of its anchor.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..imaging.boundary import extend
from ..imaging.convolution import convolve
from ..nn.recursive_filter import fading_margins, recursive_filter, wiener_factor
from ..prior import ImagePrior, Prior, load_prior
from ..prior.image_prior import CONTRAST
from .evidence import Candidate, NormalisedImage

__all__ = ["as_prior", "descend", "descended", "maximum_evidence", "negative_log_evidence", "output_error"]

# Psfs tried, and the rate of the steps, by the output error and by the evidence.
_OUTPUT_STEPS, _OUTPUT_RATE = 10, 0.05
_EVIDENCE_STEPS, _EVIDENCE_RATE = 9, 0.01


def descended(observed: NormalisedImage, found: Candidate, *, by_gradient: bool, density: Prior | None) -> Candidate:
    """The candidate of the best score: the one found, or what it descends to by the output error, towards what is
    restored with it, or by the evidence under a density of photographs."""
    psfs = []
    if by_gradient:
        error = output_error(observed.image, found.latent, found.psf.shape, noise_to_signal=observed.sigma**2)
        psfs.append(descend(error, found.psf, num_iter=_OUTPUT_STEPS))
    if density is not None:
        psfs.append(maximum_evidence(observed, found.psf, density))
    return min((found, *(Candidate.of(observed, found.updated(psf)) for psf in psfs)), key=lambda each: each.score)


def maximum_evidence(
    observed: NormalisedImage, start: Tensor, prior: Prior, *, num_iter: int = _EVIDENCE_STEPS
) -> Tensor:
    """The psf of the least J on the way down from one on the simplex."""

    def objective(psf: Tensor) -> Tensor:
        return negative_log_evidence(observed, psf, prior)

    return descend(objective, start, num_iter=num_iter, rate=_EVIDENCE_RATE)


@torch.enable_grad()
def descend(
    objective: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    num_iter: int,
    rate: float = _OUTPUT_RATE,
    callback: Callable[[int, Tensor], bool | None] | None = None,
) -> Tensor:
    """The psf of the least objective on the way down from one on the simplex, which is the first of `num_iter` tried.

    Steps of Adam over the logits of a softmax are multiplicative: they never leave the simplex, and taps at zero stay
    there.
    """
    logits = start.clamp_min(1e-12).log().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=rate)
    best, least = start, float("inf")
    for iteration in range(num_iter):
        psf = logits.reshape(-1).softmax(0).view_as(start)
        value = objective(psf)
        if float(value.detach()) < least:
            best, least = psf.detach(), float(value.detach())
        if callback is not None and callback(iteration, psf.detach()):
            break
        if iteration + 1 < num_iter:
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    return best


def output_error(
    blurred: Tensor, sharp: Tensor, size: Sequence[int], *, noise_to_signal: float
) -> Callable[[Tensor], Tensor]:
    """E, a function of the psf `(kh, kw)`, for images `(N, 1, H, W)`; a mean over the pixels that the border does not
    reach."""
    mean = blurred.mean()
    margins = fading_margins(size)
    padded = extend(blurred - mean, margins)
    edge = max(size) // 2
    inside = (..., slice(edge, -edge or None), slice(edge, -edge or None))
    target = (sharp - mean)[inside]

    def error(psf: Tensor) -> Tensor:
        factor, transposed = wiener_factor(psf, noise_to_signal)
        restored = recursive_filter(padded, margins, psf, factor, transposed=transposed)
        return (restored[inside] - target).square().mean()

    return error


def negative_log_evidence(observed: NormalisedImage, psf: Tensor, prior: Prior) -> Tensor:
    """J per pixel, up to a constant, differentiable in the psf `(kh, kw)`."""
    factor, transposed = wiener_factor(psf, observed.sigma**2)
    margins = fading_margins(psf.shape)
    latent = recursive_filter(extend(observed.image, margins), margins, psf, factor, transposed=transposed)
    blurred = convolve(latent, psf)
    inside = observed.image[..., psf.shape[0] // 2 :, psf.shape[1] // 2 :]
    inside = inside[..., : blurred.shape[-2], : blurred.shape[-1]]
    misfit = (blurred - inside).square().mean() / (2 * observed.sigma**2)
    scaled, sigma = 0.5 + CONTRAST * latent, CONTRAST * observed.sigma
    if isinstance(prior, ImagePrior):
        density = prior.log_prob(scaled, sigma, stride=prior.spacing)
    else:
        density = prior.log_prob(scaled, sigma)
    return misfit - density.sum() / latent.numel() + factor[-1, factor.shape[-1] // 2].abs().log()


def as_prior(prior: str | os.PathLike | Prior) -> Prior:
    """A density of photographs: a name or a file of `deconv.prior.load_prior`, or an object with
    ``log_prob(image, sigma)``.

    Raises
    ------
    FileNotFoundError, ValueError
        As `deconv.prior.load_prior`.
    TypeError
        Neither a name nor a prior.
    """
    if not isinstance(prior, (str, os.PathLike)) and not isinstance(prior, Prior):
        raise TypeError(f"prior: expected a name, a file or a prior, given {type(prior).__name__}")
    return load_prior(prior) if isinstance(prior, (str, os.PathLike)) else prior
