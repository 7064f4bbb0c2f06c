"""Maximum likelihood for photon counts: the method of microscopes and telescopes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .derivatives import Gradient
from .frame import iterative
from .problem import Problem
from .shrinkage import length

__all__ = ["richardson_lucy"]

# tv = coefficient * (noise / level)^power, chosen like the weight of `hyper_laplacian`.
_COEFFICIENT, _POWER = 1.0, 1.5

# Slopes count as flat below this times tv times the level. Smaller, and the factor that is to shorten contours
# overshoots from step to step, which no extrapolation survives; larger, and it only blurs.
_FLAT = 10.0

# Where less than this part of a pixel's light reaches the data, it keeps its value.
_UNSEEN = 1e-3


@iterative(num_iter=40)
def richardson_lucy(
    problem: Problem, *, tv: float | Tensor | None = None, accelerate: bool = True, damping: float = 0.0
) -> Iterator[Tensor]:
    r"""Deblur by the Richardson-Lucy iteration, for scenes and psfs that are nowhere negative.

    .. math:: x \leftarrow \frac{x}{H^T w} \cdot H^T \frac{w\,y}{H x} \cdot
        \frac{1}{1 - \tau\,\mathrm{div}(\nabla x / |\nabla x|)}

    Climbs the likelihood of Poisson counts, w being the mask; brightness is conserved and nothing gets negative.
    Without the last factor the noise grows with the iterations, and their number is the regularisation; with
    it they converge. Negative values of the image count as zero.

    Parameters
    ----------
    tv: :math:`\tau`, the weight of the total variation; 0.002 to 0.02 is usual, 0 leaves it out; None: chosen
        from the noise.
    accelerate: extrapolate along the last steps, as far as they agree: some three times fewer iterations.
    damping: residuals below so many standard deviations of the noise are taken for noise and not fitted; 0: off.

    References
    ----------
    Richardson, J. Opt. Soc. Am. 1972; Lucy, Astron. J. 1974.
    Total variation: Dey et al., "Richardson-Lucy algorithm with total variation regularization for 3D confocal
    microscope deconvolution", Microsc. Res. Tech. 2006.
    Acceleration: Biggs and Andrews, "Acceleration of iterative image restoration algorithms", Appl. Opt. 1997.
    Damping: White, "Image restoration using the damped Richardson-Lucy method", SPIE 1994, with the noise's
    variance in place of the counts'.
    """
    domain, statistics = problem.domain, problem.statistics
    if damping < 0:
        raise ValueError(f"damping: expected 0 or more standard deviations, given {damping}")
    if tv is None:
        tv = _COEFFICIENT * (statistics.sigma / statistics.level) ** _POWER
    tiny = torch.finfo(domain.observed.dtype).tiny
    dark = 1e-6 * statistics.level  # what division takes for zero; products with it are still normal numbers
    observed = domain.observed.clamp_min(0)
    seen = domain.project(domain.blur_adjoint(domain.weight.expand_as(observed)))

    def correction(scene: Tensor) -> Tensor:
        """The factor that explains the observation better."""
        blurred = domain.blur(scene).clamp_min(dark)
        ratio = observed / blurred
        if damping:
            ratio = domain.weight + (ratio - domain.weight) * _trust(
                (observed - domain.weight * blurred) / (damping * statistics.sigma).clamp_min(tiny)
            )
        light = domain.project(domain.blur_adjoint(ratio))
        return torch.where(seen > _UNSEEN, light.clamp_min(0) / seen.clamp_min(_UNSEEN), 1)

    def smoothing(scene: Tensor) -> Tensor:
        """The factor that shortens the scene's contours."""
        gradient = Gradient(problem.space)
        slopes = gradient.analyse(scene)
        curvature = gradient.adjoint(slopes / (length(slopes) + _FLAT * tv * statistics.level))
        return 1 / (1 + tv * curvature).clamp_min(0.1)

    def steps() -> Iterator[Tensor]:
        previous = ahead = domain.start().clamp_min(0)
        last_step = None
        while True:
            scene = ahead * correction(ahead)
            scene = scene * smoothing(ahead)
            yield scene
            step = scene - ahead
            if accelerate and last_step is not None:
                reach = _agreement(step, last_step, domain.axes)
                ahead = (scene + reach * (scene - previous)).clamp_min(0)
            else:
                ahead = scene
            previous, last_step = scene, step

    return steps()


def _agreement(step: Tensor, last: Tensor, axes: tuple[int, ...]) -> Tensor:
    """How far to extrapolate: the projection of one step on the one before, between 0 and 1."""
    overlap = (step * last).sum(axes, keepdim=True)
    size = last.square().sum(axes, keepdim=True)
    return (overlap / size.clamp_min(torch.finfo(step.dtype).tiny)).clamp(0, 1)


def _trust(residual: Tensor) -> Tensor:
    """White's damping function: 0 for residuals near zero, 1 from one standard deviation on, flat at both."""
    u = residual.square().clamp_max(1)
    return u**9 * (10 - 9 * u)
