"""Damping of an iteration whose steps grow, as those of plug-and-play do where the denoiser is expansive."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

__all__ = ["DampedSteps"]

# A step is too long if it is so many times the shortest so far, and not small beside the noise level either: steps of
# denoisers that contract shrink from the beginning, but for fluctuations far below the noise.
_GROWTH = 1.25
_LEAST_SHARE = 0.2

# What the shortest step is multiplied by where one was too long: the rest of the path is no longer than a third of it.
_CONTRACTION = 0.25


class DampedSteps:
    r"""Averages of iterates with the last good one, where steps grow.

    .. math:: z_k \leftarrow g + \min\left(1, \frac{m}{4 |z_k - g|}\right) (z_k - g)

    with the shortest step so far, m, and g, where it led to. Only where a step is longer than 1.25 m and than 0.2 noise
    levels, and then m is a quarter of what it was; other iterates are left as they are, bit for bit. One that is not
    finite is replaced by g.

    References
    ----------
    Chan, Wang and Elgendy, "Plug-and-play ADMM for image restoration: fixed-point convergence and applications", IEEE
    Transactions on Computational Imaging 2017: steps that do not shrink are where to contract.
    """

    def __init__(self) -> None:
        self._last: Tensor | None = None
        self._good: Tensor | None = None
        self._shortest: Tensor | None = None
        self._level: Tensor | None = None
        self._told = False

    def __call__(self, iterate: Tensor, level: Tensor) -> tuple[Tensor, Tensor | None]:
        """The iterate to go on with, and for which samples it is another one; None for none.

        Parameters
        ----------
        iterate : Tensor
            `(B, ...)`.
        level : Tensor
            Noise level that it was made with, broadcasts against it.
        """
        level, last, damped = level.detach(), self._last, None
        if last is None or self._level is None or bool((level > self._level).any()):
            self._good = self._shortest = None  # a higher level asks for longer steps
        if last is not None:
            length = _norm(iterate - last)
            if self._good is None or self._shortest is None:
                self._good, self._shortest = iterate, length
            long = (length > _GROWTH * self._shortest) & (length > _LEAST_SHARE * _norm(level))
            long = long | ~length.isfinite()
            if bool(long.any()):
                self._tell()
                damped, shorter = long, _CONTRACTION * self._shortest
                back = torch.nan_to_num(iterate - self._good, 0, 0, 0)
                share = (shorter / _norm(back).clamp_min(torch.finfo(back.dtype).tiny)).clamp_max(1)
                share = torch.where(length.isfinite(), share, 0)
                iterate = torch.where(damped, self._good + share * back, iterate)
                length = torch.where(damped, shorter, length)
            shortest = length <= self._shortest
            self._good = torch.where(shortest, iterate, self._good)
            self._shortest = torch.where(shortest, length, self._shortest)
        self._last, self._level = iterate, level
        return iterate, damped

    def _tell(self) -> None:
        if not self._told:
            warnings.warn(
                "denoiser: its steps grow from one iteration to the next, as those of one do that adds detail of its "
                "own; they are damped, and the result stays near the last iterate before",
                RuntimeWarning,
                stacklevel=2,
            )
        self._told = True


def _norm(x: Tensor) -> Tensor:
    """Root of the mean square of each sample, `(B, 1, ...)`."""
    return x.detach().square().mean(tuple(range(1, x.ndim)), keepdim=True).sqrt()
