r"""Annealed Langevin dynamics for a Gaussian data term and a learnt prior.

At a noise level s, the chain has the stationary density

.. math:: \pi_s(x) \propto \exp\left(-\frac{\| W^{1/2} (y - h * x) \|^2}{2\sigma^2}\right) p_s(x)^\lambda .

With A for the blur, D for the denoiser of level s, so that :math:`\nabla \log p_s(x) = (D(x) - x) / s^2`, and the
preconditioner :math:`M = (A^T W A / \sigma^2 + \lambda / s^2)^{-1}`, a step is

.. math:: x = z + \tfrac12 w, \qquad
    z \leftarrow z + M \left[ A^T W (y - A x) / \sigma^2 + \lambda (D(x) - x) / s^2 \right] + w, \qquad
    w \sim \mathcal N(0, 2 M).

z alone would be what the Euler scheme draws, whose variances are wrong by the step's length. x, half a step of noise
ahead, has the exact ones where the posterior is Gaussian, however long the step: this one is the longest that
is useful, a full solve for the data. w comes from the same solve, with a perturbed right-hand side.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..ops.conjugate_gradients import conjugate_gradients
from .half_quadratic import falling_noise_levels
from .padded_domain import PaddedDomain
from .problem import Problem

__all__ = ["GaussianStep", "langevin", "noise_levels", "scales"]

# The first noise level, in units of the contrast and at least of the noise, and the last one, in units of the noise.
_FIRST, _LEAST_FIRST, _LAST = 0.6, 2.0, 0.9

# From a draw to the next one of a chain, the noise level rises to so many times the last, and falls in so many steps.
_AGAIN = 5.0

# Residual of a solve at which it ends, relative to what it began with, and its most steps: far below the noise.
_TOLERANCE, _STEPS = 0.03, 12

# The least noise of the data, in units of the contrast: without any, the chain could not move.
_LEAST_NOISE = 1e-3


def noise_levels(problem: Problem, *, first: int, again: int, draws: int) -> list[Tensor]:
    """Levels of a chain, `(B, 1, 1, 1)`: `first` down to its first draw, `again` down to each that follows.

    Every descent ends at the same level, where the chain's state is a draw.
    """
    contrast, sigma = scales(problem)
    top = torch.maximum(_FIRST * contrast, _LEAST_FIRST * sigma)
    last = _LAST * sigma
    levels: list[Tensor] = []
    for start, count in [(top, first)] + [(torch.minimum(_AGAIN * last, top), again)] * (draws - 1):
        levels += itertools.islice(falling_noise_levels(replace(problem, num_iter=count), start, last), count)
    return levels


def langevin(
    problem: Problem,
    denoise: Callable[[Tensor, Tensor], Tensor],
    levels: list[Tensor],
    *,
    start: Tensor,
    weight: float,
    temperature: float,
    generator: torch.Generator,
    refine: Callable[[Tensor], Iterator[tuple[Tensor, Tensor]]] | None = None,
) -> Iterator[Tensor]:
    r"""Follow a chain.

    Parameters
    ----------
    problem : Problem
        With the observation.
    denoise : callable
        D, of the part of the domain that the observation sees, and its noise level.
    levels : list of Tensor
        s, one for each step; the chain moves up where they rise.
    start : Tensor
        What it begins from, on the domain. Beyond what is seen, a Gaussian about it stands for the prior.
    weight : float
        :math:`\lambda`.
    temperature : float
        What the standard deviation of all noise is multiplied by.
    generator : torch.Generator
        Source of the randomness.
    refine : callable, optional
        Goes on from the end of each descent: x to states that follow it, with D of each; see
        `deconv.restore.metropolis`.

    Yields
    ------
    Tensor
        D(x), for each level and each state of `refine`.
    """
    domain, seen = problem.domain, problem.domain.seen
    contrast, _ = scales(problem)

    def normal_noise() -> Tensor:
        noise = torch.randn(start.shape, generator=generator, dtype=start.dtype, device=start.device)
        return temperature * noise

    previous = levels[0]
    z = start + previous * (0.5 / weight) ** 0.5 * normal_noise()
    for level, following in itertools.zip_longest(levels, levels[1:]):
        # Half of the variance of a stationary chain's noise is in z.
        rise = (level.square() - previous.square()).clamp_min(0)
        z = z + (0.5 / weight * rise).sqrt() * normal_noise()
        previous = torch.maximum(previous, level)
        step = GaussianStep(problem, weight / level.square())
        noise = 2**0.5 * step.solve(step.perturbation(normal_noise(), normal_noise()))
        x = domain.project(z + 0.5 * noise)
        actual = (0.5 * (previous.square() + level.square())).sqrt()
        clean, pull = x.clone(), (start - x) * (level / contrast).square()
        clean[seen] = denoise(x[seen], actual)
        yield clean
        pull[seen] = (clean - x)[seen]
        z = domain.project(z + step.solve(step.adjoint(step.residual(x)) + step.penalty * pull) + noise)
        previous = level
        if refine is not None and (following is None or bool((following > level).all())):
            for state, clean in refine(x):
                z = state
                yield clean


class GaussianStep:
    """Solves with :math:`P A^T W A P / \\sigma^2 + r`, r being the penalty, and P what the boundary allows."""

    def __init__(self, problem: Problem, penalty: Tensor) -> None:
        self.domain: PaddedDomain = problem.domain
        self.penalty = penalty
        contrast, _ = scales(problem)
        self.precision = torch.maximum(problem.statistics.sigma, _LEAST_NOISE * contrast).square().reciprocal()
        share = self.domain.mask.mean(self.domain.axes, keepdim=True)
        self.inverse = (self.precision * share * self.domain.forward.power + penalty).reciprocal()

    def residual(self, x: Tensor) -> Tensor:
        """:math:`W (y - A x)`."""
        blurred = self.domain.blur(x)
        return self.domain.target(blurred) - self.domain.mask * blurred

    def perturbation(self, of_data: Tensor, of_prior: Tensor) -> Tensor:
        """A right-hand side whose covariance is the operator, of two images of white noise."""
        return self.adjoint((self.domain.mask / self.precision).sqrt() * of_data) + self.penalty.sqrt() * of_prior

    def solve(self, right: Tensor) -> Tensor:
        """By conjugate gradients, preconditioned by what the operator would be if all of the domain were observed."""
        domain, right = self.domain, self.domain.project(right)
        steps = conjugate_gradients(
            self._normal,
            right,
            torch.zeros_like(right),
            precondition=lambda residual: domain.ifft(self.inverse * domain.fft(residual)),
            dot=_dot,
        )
        small, solution = _TOLERANCE**2 * _dot(right, right), right
        for _ in range(_STEPS):
            solution, residual = next(steps)
            if bool((_dot(residual, residual) <= small).all()):
                break
        return domain.project(solution)

    def adjoint(self, residual: Tensor) -> Tensor:
        """:math:`P A^T r / \\sigma^2`."""
        return self.domain.project(self.domain.blur_adjoint(self.precision * residual))

    def _normal(self, x: Tensor) -> Tensor:
        domain = self.domain
        return self.adjoint(domain.mask * domain.blur(domain.project(x))) + self.penalty * x


def scales(problem: Problem) -> tuple[Tensor, Tensor]:
    """Contrast and noise of each sample, `(B, 1, 1, 1)`."""
    contrast, sigma = (t.mean(1, keepdim=True) for t in (problem.statistics.contrast, problem.statistics.sigma))
    return contrast, torch.maximum(sigma, _LEAST_NOISE * contrast)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """For each sample and channel, with its axes kept."""
    return (a * b).sum((-2, -1), keepdim=True)
