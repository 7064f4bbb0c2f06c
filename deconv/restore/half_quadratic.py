r"""Half-quadratic splitting: a step for the data and a step for the prior, at noise levels that fall.

.. math:: x \leftarrow \arg\min_x \tfrac12 \| y - h * x \|^2
    + \frac{\lambda\sigma^2}{2 s_k^2} \langle x - z, M (x - z) \rangle, \qquad z \leftarrow D(x, s_k)

The levels :math:`s_k` fall, so that large structures settle before fine ones. M is the identity, or says which
frequencies the prior sees: where it sees nothing z is x as it was, and holding on to it would only keep the data from
being heard.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from .problem import Problem, positive
from .splitting import DataTerm

__all__ = ["falling", "half_quadratic"]

# Steps for the data between two of the prior, which cost more than all of them.
_INNER = 8


def falling(problem: Problem, first: Tensor, last: Tensor) -> Iterator[Tensor]:
    """Levels `(B, 1, 1, 1)` from `first` down to `last` within the problem's iterations, then `last` without end."""
    last = torch.minimum(last.clamp_min(1e-3 * first), first)
    steps = max(problem.num_iter - 1, 1)
    levels = [first * (last / first) ** (k / steps) for k in range(steps + 1)]
    return itertools.chain(levels, itertools.repeat(last))


def half_quadratic(
    problem: Problem,
    denoise: Callable[[Tensor, Tensor], Tensor],
    levels: Iterable[Tensor],
    *,
    weight: float | Tensor,
    multipliers: bool = False,
    start: Tensor | None = None,
    seen: Tensor | float = 1.0,
) -> Iterator[Tensor]:
    """Yield scenes, each fresh from the denoiser.

    denoise: D, of a domain and its level. levels: :math:`s_k`, tensors that broadcast against the domain.
    weight: :math:`\\lambda`. multipliers: carry the difference of x and z along, which makes it the alternating
        direction method. start: the first z; None: the observation, continued beyond its frame.
    seen: M, from 0 to 1 for each frequency of the domain.
    """
    domain, sigma = problem.domain, problem.statistics.sigma
    denoised = scene = domain.start() if start is None else start
    excess = torch.zeros_like(scene)
    data_term = DataTerm(domain, scene)
    penalty = None
    for level in levels:
        previous, penalty = penalty, positive(weight * (sigma / level).square())
        if multipliers and previous is not None:
            excess = excess * (previous / penalty)
        pull = penalty * seen * domain.fft(denoised - excess)
        for _ in range(_INNER):
            spectrum = data_term.solve(penalty * seen, pull)
            scene = domain.ifft(spectrum)
            data_term.update(spectrum, scene)
        denoised = denoise(scene + excess, level)
        if multipliers:
            excess = excess + scene - denoised
        yield denoised
