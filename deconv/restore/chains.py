"""Whether Markov chains agree, and how many independent draws theirs are worth.

Images have as many quantities as pixels, which chains of few draws cannot judge one by one. Variances are summed over
all of them first: one number, in which every pixel has the weight of its variance.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["effective_size", "r_hat"]


def r_hat(draws: Tensor) -> float:
    r"""Potential scale reduction of Gelman and Rubin, of all quantities together.

    .. math:: \hat R = \sqrt{\frac{n - 1}{n} + \frac{\operatorname{Var}(\text{means of chains})}
        {\operatorname{mean}(\text{variances within chains})}}

    Parameters
    ----------
    draws : Tensor
        `(chains, n, ...)`.

    Returns
    -------
    float
        About 1 where chains agree; not a number with fewer than two chains or draws in each.

    References
    ----------
    Gelman, Carlin, Stern, Dunson, Vehtari and Rubin, "Bayesian data analysis", third edition, section 11.4.
    """
    chains, n = draws.shape[:2]
    if min(chains, n) < 2:
        return float("nan")
    within, between = _variances(draws)
    return float(((n - 1) / n + between / within.clamp_min(torch.finfo(within.dtype).tiny)).sqrt())


def effective_size(draws: Tensor) -> float:
    r"""Number of independent draws whose mean is as good as that of all.

    .. math:: \frac{m n}{1 + 2 \sum_t \hat\rho_t}, \qquad
        \hat\rho_t = 1 - \frac{\operatorname{mean} (x_{i+t} - x_i)^2}{2 \, \widehat{\operatorname{var}}}

    Parameters
    ----------
    draws : Tensor
        `(m, n, ...)`: n draws in each of m chains.

    Returns
    -------
    float
        At most the number of draws, which it is of chains with one each. The sum ends before the first
        correlation below zero.

    References
    ----------
    As for `r_hat`, section 11.5.
    """
    chains, n = draws.shape[:2]
    if n < 2:
        return float(chains)
    within, between = _variances(draws)
    variance = ((n - 1) / n * within + between).clamp_min(torch.finfo(within.dtype).tiny)
    total = 0.0
    for lag in range(1, n):
        steps = (draws[:, lag:] - draws[:, :-lag]).double().square().mean((0, 1)).sum()
        correlation = float(1 - steps / (2 * variance))
        if correlation < 0:
            break
        total += correlation
    return chains * n / (1 + 2 * total)


def _variances(draws: Tensor) -> tuple[Tensor, Tensor]:
    """The mean variance within chains and the variance of their means, each summed over all quantities."""
    within = draws.double().var(1).mean(0).sum()
    if len(draws) < 2:
        return within, torch.zeros_like(within)
    return within, draws.double().mean(1).var(0).sum()
