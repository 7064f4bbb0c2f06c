r"""Hamiltonian trajectories that Metropolis's rule accepts or rejects: draws from the very density.

The long steps of `deconv.restore.langevin` have the exact stationary density only where that is Gaussian. From where
such a chain has come to, with :math:`E = -\log \pi_s` and a preconditioner M that is diagonal in frequency, a
trajectory is

.. math:: p \sim \mathcal N(0, 1), \qquad
    p \leftarrow p - \tfrac\epsilon2 M^{1/2} \nabla E(x), \quad
    x \leftarrow x + \epsilon M^{1/2} p, \quad
    p \leftarrow p - \tfrac\epsilon2 M^{1/2} \nabla E(x),

the last three several times. Its end is taken with the probability :math:`\min(1, e^{H - H'})` for
:math:`H = E(x) + |p|^2 / 2` and H' at the end. So the density stays what it is, however coarse the steps are.

References: Duane, Kennedy, Pendleton and Roweth, "Hybrid Monte Carlo", Physics Letters B 1987. Neal, "MCMC using
Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo 2011. Beskos, Pillai, Roberts, Sanz-Serna and Stuart,
"Optimal tuning of the hybrid Monte Carlo algorithm", Bernoulli 2013: the acceptance that is worth its work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..imaging.boundary import extend
from ..prior import ImagePrior
from .langevin import GaussianStep, scales
from .problem import Problem
from .with_prior import natural_unit

__all__ = ["Metropolis"]

# Steps of a trajectory; how far its length is drawn to either side, so that none is a period of the system.
_STEPS, _JITTER = 4, 0.2

# The share to be accepted, and the length of the first step for one variable, which falls with the fourth root of their
# number. Corrections of it fall with the number of trajectories: they end, and what they end with is reversible.
_ACCEPTED, _FIRST, _GAIN, _DECAY = 0.651, 4.4, 1.0, 0.7


class Metropolis:
    r"""Trajectories of one chain at one level of noise s, under :math:`\pi_s` as `deconv.restore.langevin` has it.

    Blocks of the prior cover what the observation sees, mirrored as far as a whole block needs, once. Where they begin
    is drawn for every call.

    Parameters
    ----------
    problem : Problem
        With the observation, of pictures.
    prior : ImagePrior
        p.
    start : Tensor
        On the domain. Beyond what is seen, a Gaussian about it stands for the prior.
    level : Tensor
        s, `(B, 1, 1, 1)`.
    weight : float
        :math:`\lambda`.
    count : int
        Trajectories in a call.
    generator : torch.Generator
        Source of the randomness.

    Attributes
    ----------
    acceptances : list of Tensor
        The probability with which each trajectory was accepted, `(B, C)`.
    """

    def __init__(
        self,
        problem: Problem,
        prior: ImagePrior,
        *,
        start: Tensor,
        level: Tensor,
        weight: float,
        count: int,
        generator: torch.Generator,
    ) -> None:
        self.domain, self.start, self.weight, self.count = problem.domain, start, weight, count
        self.prior, self.generator = prior.on(start.device), generator
        self.units = natural_unit(problem).flatten().tolist()
        self.level = level.expand(len(start), 1, 1, 1)
        self.contrast, _ = scales(problem)
        self.step = GaussianStep(problem, weight / level.square())
        self.root = self.step.inverse.sqrt()
        length = _FIRST * math.prod(self.domain.shape) ** -0.25
        self.log_step = start.new_full((*start.shape[:2], 1, 1), math.log(length))
        self.acceptances: list[Tensor] = []

    def __call__(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Follow `count` trajectories from x, an image on the domain.

        Yields
        ------
        tuple of Tensor
            The state after each, and the mean of the clean images behind it, :math:`x + s^2 \\nabla \\log p_s(x)`.
        """
        device = self.generator.device
        offsets: list[int] = torch.randint(self.prior.size, (2,), generator=self.generator, device=device).tolist()
        x = self.domain.project(x)
        energy, gradient, clean = self._energy(x, offsets)
        for _ in range(self.count):
            momentum = self._draw(torch.randn, x)
            length = self.log_step.exp() * (1 + _JITTER * (2 * self._draw(torch.rand, self.log_step) - 1))
            position, force, before = x, self._filter(gradient), energy + self._half_square(momentum)
            for _ in range(_STEPS):
                momentum = momentum - 0.5 * length * force
                position = position + length * self._filter(momentum)
                after, slope, mean = self._energy(position, offsets)
                force = self._filter(slope)
                momentum = momentum - 0.5 * length * force
            probability = (before - after - self._half_square(momentum)).clamp(max=0).exp().nan_to_num(0)
            self.acceptances.append(probability[..., 0, 0])
            self.log_step += _GAIN * len(self.acceptances) ** -_DECAY * (probability - _ACCEPTED).to(self.log_step)
            taken = self._draw(torch.rand, probability) < probability
            energy = torch.where(taken, after, energy)
            x, gradient, clean = (
                torch.where(taken, new, old) for new, old in ((position, x), (slope, gradient), (mean, clean))
            )
            yield self.domain.project(x), clean

    def _energy(self, x: Tensor, offsets: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """E of each sample and channel, `(B, C, 1, 1)` in float64, its gradient, and the mean of the clean images."""
        domain, step = self.domain, self.step
        x = domain.project(x)
        residual = step.residual(x)
        weighted = torch.where(domain.mask > 0, residual.square() / domain.mask, 0)
        away = (x - self.start) / self.contrast.square()
        away[domain.seen] = 0
        log_prob, score = self._prior(x[domain.seen], offsets)
        energy = 0.5 * (step.precision * weighted + self.weight * away.square() * self.contrast.square())
        energy = energy.double().sum(domain.axes, keepdim=True) - self.weight * log_prob
        pull = -away
        pull[domain.seen] = score
        clean = x.clone()
        clean[domain.seen] += self.level.square() * score
        return energy, -step.adjoint(residual) - self.weight * domain.project(pull), clean

    def _prior(self, seen: Tensor, offsets: list[int]) -> tuple[Tensor, Tensor]:
        r""":math:`\log p_s` of each sample and channel, `(B, C, 1, 1)`, but for a constant, and its gradient."""
        size = self.prior.size
        margins = [(o, (-n - o) % size) for n, o in zip(seen.shape[-2:], offsets, strict=True)]
        log_probs, scores = [], []
        for sample, unit, level in zip(seen, self.units, self.level.flatten().tolist(), strict=True):
            with torch.enable_grad():
                planes = sample.detach().unsqueeze(1).requires_grad_()
                wide = extend(planes / unit, margins, method="reflect")
                log_prob = self.prior.log_prob(wide, level / unit, stride=size)
                scores.append(torch.autograd.grad(log_prob.sum(), planes)[0].squeeze(1))
            log_probs.append(log_prob.detach().double())
        return torch.stack(log_probs)[..., None, None], torch.stack(scores)

    def _filter(self, image: Tensor) -> Tensor:
        """:math:`M^{1/2}`."""
        return self.domain.ifft(self.root * self.domain.fft(image))

    def _half_square(self, momentum: Tensor) -> Tensor:
        return 0.5 * momentum.double().square().sum(self.domain.axes, keepdim=True)

    def _draw(self, distribution: Callable[..., Tensor], like: Tensor) -> Tensor:
        return distribution(like.shape, generator=self.generator, dtype=like.dtype, device=like.device)
