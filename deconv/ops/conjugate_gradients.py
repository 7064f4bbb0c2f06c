"""Conjugate gradients for symmetric, positive operators, in any inner product."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["conjugate_gradients"]


def conjugate_gradients(
    normal: Callable[[Tensor], Tensor],
    residual: Tensor,
    start: Tensor,
    *,
    precondition: Callable[[Tensor], Tensor] | None = None,
    dot: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    r"""Solve :math:`N x = b` step by step, without end.

    Parameters
    ----------
    normal : callable
        N, symmetric and positive in the inner product.
    residual : Tensor
        :math:`b - N x_0`.
    start : Tensor
        :math:`x_0`.
    precondition : callable, optional
        A cheap approximation of the inverse of N, symmetric and positive; by default the identity.
    dot : callable, optional
        Inner products of two tensors, one for each system that is solved; a result that broadcasts against `start`. By
        default one system: the sum over all products.

    Yields
    ------
    solution : Tensor
        :math:`x_k`, for k = 1, 2, ...
    residual : Tensor
        :math:`b - N x_k`.

    References
    ----------
    Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", Journal of Research of the
    National Bureau of Standards 49, 1952.
    """
    dot = _sum_of_products if dot is None else dot
    solution, direction, energy = start, None, None
    while True:
        step = residual if precondition is None else precondition(residual)
        previous, energy = energy, dot(residual, step)
        direction = step if direction is None or previous is None else step + _quotient(energy, previous) * direction
        image = normal(direction)
        length = _quotient(energy, dot(direction, image))
        solution = solution + length * direction
        residual = residual - length * image
        yield solution, residual


def _sum_of_products(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum()


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """Zero, with the slope 0 in `b`, where the system is solved already and both vanish."""
    return a / b.clamp_min(torch.finfo(b.dtype).tiny)
