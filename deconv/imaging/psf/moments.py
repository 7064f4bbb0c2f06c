"""Where the mass of a psf lies."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["centroid", "spread"]


def centroid(psf: Tensor, *, space: int | None = None) -> Tensor:
    r"""Centre of mass, from the psf's centre.

    .. math:: m_a = \frac{\sum_p (p_a - c_a)\, h(p)}{\sum_p h(p)}, \qquad c_a = \lfloor (s_a - 1) / 2 \rfloor

    Parameters
    ----------
    psf : Tensor
        `(..., kh, kw)` or `(..., kd, kh, kw)`, of any positive sum.
    space : int, optional
        Number of spatial axes, the last ones; by default all.

    Returns
    -------
    Tensor
        `(..., space)`, in pixels along each axis, downwards and to the right.

    Examples
    --------
    >>> centroid(torch.tensor([[0.0, 0.5, 0.5]]))
    tensor([0.0000, 0.5000])
    """
    space = psf.ndim if space is None else space
    total = psf.sum(tuple(range(-space, 0)))
    return torch.stack([(profile * place).sum(-1) / total for profile, place in _profiles(psf, space)], -1)


def spread(psf: Tensor) -> float:
    r"""Root mean square distance of the mass of a psf from its centroid, in pixels.

    .. math:: \sqrt{\sum_p |p - m|^2\, h(p) / \sum_p h(p)}

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, of any positive sum.

    Returns
    -------
    float
        In pixels; 0 for no blur.
    """
    total = psf.sum()
    middle = centroid(psf)
    variance = sum(
        (profile * (place - mean).square()).sum() / total
        for (profile, place), mean in zip(_profiles(psf, psf.ndim), middle, strict=True)
    )
    return float(variance) ** 0.5


def _profiles(psf: Tensor, space: int) -> list[tuple[Tensor, Tensor]]:
    """Along each axis the mass at each place `(..., s)`, and the places `(s,)` from the centre."""
    profiles = []
    for axis in range(-space, 0):
        others = tuple(a for a in range(-space, 0) if a != axis)
        n = psf.shape[axis]
        place = torch.arange(n, dtype=psf.dtype, device=psf.device) - (n - 1) // 2
        profiles.append((psf.sum(others) if others else psf, place))
    return profiles
