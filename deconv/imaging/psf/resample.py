"""A psf on a grid of another spacing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .window import MAX_VALUES

__all__ = ["resample"]

_REACH = 2  # of the cubic kernel, in samples


def resample(psf: Tensor, factors: float | Sequence[float]) -> Tensor:
    r"""A psf on a coarser or finer grid, by Keys' cubic interpolation about its centre.

    .. math:: h'(i) \propto \sum_j K\!\left(\frac{r i - j}{\max(r, 1)}\right) h(j)

    along each axis, r being the new distance of two samples over the old one. A coarser grid gets what is below its
    own limit of resolution.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, centred at ``(s - 1) // 2``.
    factors : float or sequence of float
        r, for all axes or one for each: 2 for pixels twice as large.

    Returns
    -------
    Tensor
        Of odd size, the greatest that holds nothing but what is known; float32, not negative, sum 1.

    Raises
    ------
    ValueError
        A factor that is not positive, or too many values.

    Examples
    --------
    >>> from deconv.imaging.psf import gaussian
    >>> coarse = resample(gaussian(4.0, 41), 2)
    >>> tuple(coarse.shape), bool((coarse - gaussian(2.0, 21)).abs().max() < 1e-3)
    ((21, 21), True)
    """
    ratios = [float(factors)] * psf.ndim if isinstance(factors, int | float) else [float(r) for r in factors]
    if len(ratios) != psf.ndim or not all(0 < r < math.inf for r in ratios):
        raise ValueError(f"factors: expected {psf.ndim} positive numbers, given {factors}")
    values = psf.double()
    for axis, r in enumerate(ratios):
        if r == 1:
            continue
        n = values.shape[axis]
        centre = (n - 1) // 2
        half = int(min(centre, n - 1 - centre) / r + 1e-9)
        if (2 * half + 1) * values.numel() / n > MAX_VALUES:
            raise ValueError(f"factors: {factors} would give more than the {MAX_VALUES} values that a psf may have")
        place = r * torch.arange(-half, half + 1, dtype=torch.float64) + centre
        weight = _cubic((place[:, None] - torch.arange(n, dtype=torch.float64)) / max(r, 1.0))
        values = torch.tensordot(weight, values.movedim(axis, 0), 1).movedim(0, axis)
    values = values.clamp_min(0)
    return (values / values.sum()).float()


def _cubic(x: Tensor) -> Tensor:
    x = x.abs().clamp_max(_REACH)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, near, far)
