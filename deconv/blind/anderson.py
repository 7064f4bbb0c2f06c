"""Fixed points by Anderson's acceleration, for steps that lead there slowly."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["fixed_point"]

_MEMORY = 5
_RIDGE = 1e-4


def fixed_point(step: Callable[[Tensor], Tensor], start: Tensor, count: int) -> Tensor:
    r"""Where a map g is going, after so many evaluations.

    .. math:: x_{k+1} = g(x_k) - \sum_i \gamma_i \, (g(x_{i+1}) - g(x_i)) , \qquad
        \gamma = \arg\min \Big\| r_k - \sum_i \gamma_i (r_{i+1} - r_i) \Big\| , \quad r_i = g(x_i) - x_i

    over the last five evaluations.

    Parameters
    ----------
    step : callable
        g, from a tensor to one of the same shape.
    start : Tensor
        :math:`x_0`.
    count : int
        Evaluations.

    References
    ----------
    Walker and Ni, "Anderson acceleration for fixed-point iterations", SIAM Journal on Numerical Analysis 49 (2011).
    """
    point, results, residuals = start, [], []
    for _ in range(count):
        result = step(point)
        results, residuals = [*results, result][-_MEMORY:], [*residuals, result - point][-_MEMORY:]
        point = result
        if len(results) > 1:
            moved, changes = (torch.stack(each).flatten(1).diff(dim=0) for each in (results, residuals))
            normal = changes @ changes.T
            normal += _RIDGE * normal.diagonal().mean().clamp_min(1e-30) * torch.eye(len(normal)).to(normal)
            mixture = torch.linalg.solve(normal, changes @ residuals[-1].flatten())
            point = result - (mixture @ moved).view_as(result)
    return point
