r"""Half-quadratic splitting with a denoiser, at noise levels that fall.

.. math:: x \leftarrow \arg\min_x \tfrac12 \| y - h * x \|^2
    + \frac{\lambda\sigma^2}{2 s_k^2} \langle x - z, M (x - z) \rangle, \qquad z \leftarrow D(x, s_k)

The denoiser D stands for the prior. Its noise levels :math:`s_k` fall, so that large structures settle before fine
ones. M is the identity, or, diagonal in frequency, how much of each frequency the prior sees. To frequencies that it
does not see the denoiser does nothing, so for these z is the last x; tying x to z there would only slow down the fit to
the data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from .arguments import check_weight
from .damping import DampedSteps
from .data_term import DataTerm
from .problem import Problem
from .splitting import positive

__all__ = ["falling_noise_levels", "half_quadratic"]

# Steps for the data between two of the denoiser, which costs more than all of them.
_INNER = 8


def falling_noise_levels(problem: Problem, first: Tensor, last: Tensor) -> Iterator[Tensor]:
    """Geometrically from `first` down to `last`, `(B, 1, 1, 1)`, within the problem's iterations; then `last`, without
    end."""
    last = torch.minimum(last.clamp_min(1e-3 * first), first)
    steps = max(problem.num_iter - 1, 1)
    noise_levels = [first * (last / first) ** (k / steps) for k in range(steps + 1)]
    return itertools.chain(noise_levels, itertools.repeat(last))


def half_quadratic(
    problem: Problem,
    denoise: Callable[[Tensor, Tensor], Tensor],
    noise_levels: Iterable[Tensor],
    *,
    weight: float | Tensor,
    multipliers: bool = False,
    start: Tensor | None = None,
    seen: Tensor | float = 1.0,
    damped: bool = False,
) -> Iterator[Tensor]:
    r"""Alternate between the data and a denoiser.

    Parameters
    ----------
    problem : Problem
        What to restore.
    denoise : callable
        D, of an image on the padded domain and its noise level.
    noise_levels : iterable of Tensor
        :math:`s_k`, which broadcast against the domain.
    weight : float or Tensor
        :math:`\lambda`.
    multipliers : bool
        Add the sum of the past differences x - z to x before denoising, and take it off z: the alternating direction
        method of multipliers.
    start : Tensor, optional
        The first z; by default the observation, continued beyond its frame.
    seen : Tensor or float
        M, from 0 to 1 for each frequency of the domain.
    damped : bool
        Guard against a denoiser that is expansive, see `DampedSteps`.

    Yields
    ------
    Tensor
        z after each iteration.
    """
    check_weight(weight)
    domain, sigma = problem.domain, problem.statistics.sigma
    denoised = latent = domain.start() if start is None else start
    excess = torch.zeros_like(latent)
    data_term = DataTerm(domain, latent)
    penalty = None
    steps = DampedSteps() if damped else None
    for noise_level in noise_levels:
        previous, penalty = penalty, positive(weight * (sigma / noise_level).square())
        if multipliers and previous is not None:
            excess = excess * (previous / penalty)
        pull = penalty * seen * domain.fft(denoised - excess)
        for _ in range(_INNER):
            spectrum = data_term.solve(penalty * seen, pull)
            latent = domain.ifft(spectrum)
            data_term.update(spectrum, latent)
        denoised = denoise(latent + excess, noise_level)
        held = None
        if steps is not None:
            denoised, held = steps(denoised, noise_level)
        if multipliers:
            following = excess + latent - denoised
            excess = following if held is None else torch.where(held, excess, following)
        yield denoised
