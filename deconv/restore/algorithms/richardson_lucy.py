"""Maximum likelihood for photon counts: the method of microscopes and telescopes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from ..arguments import per_channel
from ..common_options import CommonOptions, explain_common_options
from ..convergence import Minimisation
from ..derivatives import Gradient
from ..problem import Problem
from ..run import Image, RestorationWarning, run
from ..shrinkage import length

__all__ = ["iterates", "richardson_lucy"]

# tv = coefficient * (noise / brightness)^power, chosen like the weight of `hyper_laplacian`.
_COEFFICIENT, _POWER = 1.0, 1.5

# Slopes count as flat below this times tv times the brightness. Smaller, and the factor that is to shorten contours
# overshoots from step to step, which no extrapolation survives; larger, and it only blurs.
_FLAT = 10.0

# Light below zero that is worth a word, relative to that above.
_NEGATIVE = 0.01

# Where less than this part of a pixel's light reaches the data, it keeps its value.
_UNSEEN = 1e-3


@explain_common_options
def richardson_lucy(
    image: Image,
    psf: Any,
    *,
    tv: float | Tensor | None = None,
    accelerate: bool = True,
    damping: float = 0.0,
    background: float | Tensor = 0.0,
    num_iter: int = 40,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Deblur by the Richardson-Lucy iteration, for images and psfs that are nowhere negative.

    .. math:: x \leftarrow \frac{x}{H^T w} \cdot H^T \frac{w\,y}{H x + b} \cdot
        \frac{1}{1 - \tau\,\mathrm{div}(\nabla x / |\nabla x|)}

    Climbs the likelihood of Poisson counts, w being the mask and b the background; brightness is conserved and nothing
    gets negative. Without the last factor the noise grows with the iterations, and their number is the regularisation;
    with it they converge. Negative values of the image count as zero. Where the background has been taken off, so that
    the noise reaches below zero, that adds light: give a constant back to the image, and the same as `background`.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel.
    tv : float or Tensor, optional
        :math:`\tau`, the weight of the total variation; 0.002 to 0.02 is usual, 0 leaves it out; by default chosen from
        the noise.
    accelerate : bool
        Extrapolate along the last steps, as far as they agree: some three times fewer iterations.
    damping : float
        Residuals below so many standard deviations of the noise are taken for noise and not fitted; 0: off.
    background : float or Tensor
        b, what the image has beside the blurred light, in its unit: sky, or the camera's offset. The result is without
        it, and its light that of the image above b. A number, `(B,)` or `(B, C)`.
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
    Richardson, J. Opt. Soc. Am. 1972; Lucy, Astron. J. 1974.
    Total variation: Dey et al., "Richardson-Lucy algorithm with total variation regularization for 3D confocal
    microscope deconvolution", Microsc. Res. Tech. 2006.
    Acceleration: Biggs and Andrews, "Acceleration of iterative image restoration algorithms", Appl. Opt. 1997.
    Damping: White, "Image restoration using the damped Richardson-Lucy method", SPIE 1994, with the noise's
    variance in place of the counts'.
    """
    return run(
        image,
        psf,
        lambda problem: iterates(problem, tv=tv, accelerate=accelerate, damping=damping, background=background),
        num_iter=num_iter,
        name="richardson_lucy",
        **common,
    )


def iterates(
    problem: Problem,
    *,
    tv: float | Tensor | None = None,
    accelerate: bool = True,
    damping: float = 0.0,
    background: float | Tensor = 0.0,
) -> Iterator[Tensor]:
    """Latent images of `richardson_lucy`."""
    domain, statistics = problem.domain, problem.statistics
    if damping < 0:
        raise ValueError(f"damping: expected 0 or more standard deviations, given {damping}")
    if tv is None:
        tv = _COEFFICIENT * (statistics.sigma / statistics.brightness) ** _POWER
    tiny = torch.finfo(domain.observed.dtype).tiny
    dark = 1e-6 * statistics.brightness  # what division takes for zero; products with it are still normal numbers
    floor = problem.in_own_unit(per_channel(background, problem.image, name="background"))
    _warn_of_negative_values(problem)
    seen = domain.project(domain.blur_adjoint(domain.mask.expand_as(domain.observed)))
    gradient = Gradient(problem.space)
    lifted = bool((floor > 0).any())
    # A factor cannot raise what is zero, and what is below the background at first may have light.
    least = torch.where(floor > 0, dark, 0)
    light = (domain.observed - domain.mask * floor).sum(domain.axes, keepdim=True)

    def correction(latent: Tensor) -> Tensor:
        """The factor that explains the observation better."""
        blurred = (domain.blur(latent) + floor).clamp_min(dark)
        counted = domain.active(blurred)
        observed, mask = counted.observed.clamp_min(0), counted.mask
        ratio = observed / blurred
        if damping:
            residual = (observed - mask * blurred) / (damping * statistics.sigma).clamp_min(tiny)
            ratio = mask + (ratio - mask) * _trust(residual)
        total = seen if counted is domain else domain.project(domain.blur_adjoint(mask))
        returned = domain.project(domain.blur_adjoint(ratio))
        return torch.where(total > _UNSEEN, returned.clamp_min(0) / total.clamp_min(_UNSEEN), 1)

    def smoothing(latent: Tensor) -> Tensor:
        """The factor that shortens contours."""
        slopes = gradient.analyse(latent)
        curvature = gradient.adjoint(slopes / (length(slopes) + _FLAT * tv * statistics.brightness))
        return 1 / (1 + tv * curvature).clamp_min(0.1)

    def balance(latent: Tensor) -> Tensor:
        """The factor that keeps the light: above a background, what cannot be negative takes the noise's upper half."""
        blurred = (domain.mask * domain.blur(latent)).sum(domain.axes, keepdim=True)
        return torch.where(floor > 0, (light / blurred.clamp_min(tiny)).clamp(0.5, 2), 1)

    def steps() -> Iterator[Tensor]:
        previous = ahead = (domain.start() - floor).clamp_min(least)
        last_step = None
        while True:
            latent = ahead * correction(ahead)
            latent = latent * smoothing(ahead)
            if lifted:
                latent = latent * balance(latent)
            yield latent
            step = latent - ahead
            if accelerate and last_step is not None:
                reach = _agreement(step, last_step, domain.axes)
                ahead = (latent + reach * (latent - previous)).clamp_min(0)
            else:
                ahead = latent
            previous, last_step = latent, step

    def objective(latent: Tensor) -> Tensor:
        """Minus the logarithm of the likelihood, from its least value on, plus the total variation of what is seen."""
        blurred = (domain.blur(latent) + floor).clamp_min(dark)
        target, blurred = domain.target(blurred).clamp_min(0), domain.mask * blurred
        divergence = blurred - target + torch.xlogy(target, target / blurred.clamp_min(dark * 1e-6))
        contours = seen * tv * length(gradient.analyse(latent))
        return (divergence + contours).flatten(1).sum(1)

    return steps() if damping else Minimisation(steps(), objective, degree=1.0)


def _warn_of_negative_values(problem: Problem) -> None:
    image = (problem.domain.crop(problem.domain.mask) * problem.image).detach()
    negative = -float(image.clamp_max(0).double().sum())
    total = float(image.clamp_min(0).double().sum())
    if negative > _NEGATIVE * total:
        share = float((image < 0).double().mean())
        warnings.warn(
            f"image: {share:.0%} of its values are negative and count as zero, {negative / (negative + total):.1%} of "
            "the sum of all magnitudes; add a constant to the image, and give the same as background=",
            RestorationWarning,
            stacklevel=6,
        )


def _agreement(step: Tensor, last: Tensor, axes: tuple[int, ...]) -> Tensor:
    """How far to extrapolate: the projection of one step on the one before, between 0 and 1."""
    overlap = (step * last).sum(axes, keepdim=True)
    size = last.square().sum(axes, keepdim=True)
    return (overlap / size.clamp_min(torch.finfo(step.dtype).tiny)).clamp(0, 1)


def _trust(residual: Tensor) -> Tensor:
    """White's damping function: 0 for residuals near zero, 1 from one standard deviation on, flat at both."""
    u = residual.square().clamp_max(1)
    return u**9 * (10 - 9 * u)
