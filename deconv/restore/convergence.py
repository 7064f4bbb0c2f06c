"""Iterates that minimise something, and the report on how far they came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

__all__ = ["ConvergenceInfo", "Minimisation"]


@dataclass(frozen=True)
class ConvergenceInfo:
    """How a restoration went.

    Parameters
    ----------
    iterations : int
        How many were done.
    change : float or None
        Norm of the last step over that of the latent image, the largest of all samples; None after one iteration.
    objective : float or None
        Value of what the method minimises, misfit to the data plus penalty, at the result, of all samples together, in
        the image's unit; None where a method minimises nothing that can be evaluated.
    converged : bool
        Whether the method has stopped by itself, or the last change was at most `tolerance`, a thousandth where that
        is 0.
    sigma : float
        Standard deviation of the noise that it was restored with, told or estimated, in the image's unit: the root of
        the mean variance of samples and channels.
    """

    iterations: int
    change: float | None
    objective: float | None
    converged: bool
    sigma: float


class Minimisation(Iterator[Tensor]):
    """Iterates of a latent image, and what they minimise.

    Parameters
    ----------
    iterates : iterator of Tensor
        Better and better latent images.
    objective : callable
        The value at a latent image, `(B,)`.
    degree : float
        The objective's unit is the image's to this power.
    """

    def __init__(
        self, iterates: Iterator[Tensor], objective: Callable[[Tensor], Tensor], *, degree: float = 2.0
    ) -> None:
        self._iterates = iterates
        self.objective = objective
        self.degree = degree

    def __next__(self) -> Tensor:
        return next(self._iterates)
