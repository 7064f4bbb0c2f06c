r"""The Wiener filter of what is observed alone, by conjugate gradients.

Where W is not all ones, the minimum of :math:`\| W (h * x - y) \|^2 + \lambda \langle x, P x \rangle` is no division
by :math:`R = |H|^2 + \lambda P`, but R is near to the operator of its normal equations and preconditions them. Vectors
are spectra: there, all but W is diagonal.

What no pixel tells is slow to arrive: in the middle of a gap the equations are :math:`\lambda P` alone, which is small.
So across gaps the first steps are for many times the penalty, whose equations are solved in a few, and R counts only a
part of :math:`|H|^2`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..ops.conjugate_gradients import conjugate_gradients
from .padded_domain import PaddedDomain

__all__ = ["REFINEMENT", "across_gaps", "objective_of", "refined", "with_gaps"]

# A spectrum, and what is left of the equations that it is to solve.
_Step = tuple[Tensor, Tensor]

# Steps that are taken before the first result, at least.
REFINEMENT = 8

# More than this part of the frame is missing where there are gaps.
_MISSING = 0.02
# How many times the penalty, for how many steps.
_STAGES = ((1000.0, 4), (30.0, 5))
# Then as many as it takes for so many of them to lower the objective by no more than this part of it, and so many at
# most, of images and of volumes. These are dear, and noise hides what more of them would add.
_SOME, _SETTLED, _MOST = 4, 3e-4, {2: 100, 3: 60}


def objective_of(domain: PaddedDomain, penalty: Tensor, latent: Tensor) -> Tensor:
    """What is minimised, for each sample: `(B,)`; penalty is :math:`\\lambda P`."""
    roughness = latent * domain.ifft(penalty * domain.fft(latent))
    return 2 * domain.misfit(latent) + roughness.flatten(1).sum(1)


def refined(domain: PaddedDomain, penalty: Tensor, inverse: Tensor, spectrum: Tensor) -> Iterator[_Step]:
    """Better and better spectra from one on, each with what is left of the equations.

    inverse: what preconditions, about 1 / R.
    """
    forward = domain.forward

    def normal(direction: Tensor) -> Tensor:
        seen = domain.mask * forward.blur_of_spectrum(direction)
        return forward.spectrum_of_adjoint(seen) + penalty * direction

    missing = domain.observed - domain.mask * forward.blur_of_spectrum(spectrum)
    residual = forward.spectrum_of_adjoint(missing) - penalty * spectrum
    return conjugate_gradients(
        normal, residual, spectrum, precondition=lambda residual: inverse * residual, dot=forward.dot
    )


def with_gaps(domain: PaddedDomain) -> Tensor:
    """Which samples miss more than a few pixels within the frame, `(B or 1, 1, 1, 1)`."""
    known = domain.combine(domain.crop(domain.mask))
    return known.mean(tuple(range(1, known.ndim)), keepdim=True) < 1 - _MISSING


def across_gaps(
    domain: PaddedDomain, power: Tensor, penalty: Tensor, adjoint: Tensor, gaps: Tensor
) -> Iterator[Tensor]:
    """Spectra from where they will do for the first result, where some samples have gaps.

    power: :math:`|H|^2`; adjoint: the spectrum of what the adjoint makes of the continued observation.
    """
    # On the average over places, the part that is known counts of what a latent image makes; of slow structures, which
    # are seen from beside a gap, more.
    known = domain.combine(domain.mask).mean(tuple(range(1, gaps.ndim)), keepdim=True)
    part = torch.where(gaps, known.sqrt(), 1)
    start = adjoint / (power + _STAGES[0][0] * penalty)
    for times, count in _STAGES:
        weight = times * penalty
        steps = refined(domain, weight, (part * power + weight).reciprocal(), start)
        start, _ = next(itertools.islice(steps, count - 1, None))
    if not bool(gaps.all()):
        start = torch.where(gaps, start, adjoint / (power + penalty))
    del adjoint, weight, steps  # buffers of a whole volume, which need not wait for the steps that follow
    inverse = (part * power + penalty).reciprocal()
    return _settled(domain, penalty, refined(domain, penalty, inverse, start), gaps)


def _settled(domain: PaddedDomain, penalty: Tensor, steps: Iterator[_Step], gaps: Tensor) -> Iterator[Tensor]:
    """From where spectra will do for the first result; for each sample by itself, as in a batch of its own."""
    axes, size = tuple(range(1, gaps.ndim)), math.prod(domain.shape)
    before, residual = next(itertools.islice(steps, _SOME - 1, None))
    value = objective_of(domain, penalty, domain.ifft(before)).reshape(-1, *[1] * len(axes))
    kept, done = before, torch.zeros_like(gaps)
    for count in range(2 * _SOME, _MOST[len(domain.shape)] + 1, _SOME):
        after, remaining = next(itertools.islice(steps, _SOME - 1, None))
        kept = torch.where(done, kept, after) if bool(done.any()) else after
        # By so much a quadratic falls between two points, by its slopes there.
        fall = domain.forward.dot(after - before, residual + remaining).sum(axes, keepdim=True) / size
        value = value - fall
        done = done | (fall <= _SETTLED * value)
        if count >= REFINEMENT:
            done = done | ~gaps
        if bool(done.all()):
            break
        before, residual = after, remaining
    yield kept
    yield from (spectrum for spectrum, _ in steps)
