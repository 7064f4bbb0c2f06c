"""Conjugate gradients, for psfs by least squares."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["conjugate_gradients"]


def conjugate_gradients(
    normal: Callable[[Tensor], Tensor], target: Tensor, start: Tensor, *, num_iter: int, tolerance: float
) -> Tensor:
    """Solve ``normal(h) = target`` for a symmetric, positive `normal`, from `start`.

    Stops after `num_iter` steps, or when the residual's norm is below `tolerance` times the target's (Hestenes and
    Stiefel, 1952).
    """
    solution = start
    residual = target - normal(start)
    direction, energy = residual, residual.square().sum()
    enough = tolerance**2 * target.square().sum()
    for _ in range(num_iter):
        if energy <= enough:
            break
        image = normal(direction)
        length = energy / (direction * image).sum()
        solution = solution + length * direction
        residual = residual - length * image
        previous, energy = energy, residual.square().sum()
        direction = residual + (energy / previous) * direction
    return solution
