"""Where the mass of a psf lies."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["centroid", "deviations", "spread", "widths"]


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


def deviations(psf: Tensor, *, space: int | None = None) -> Tensor:
    r"""Standard deviation of the mass of a psf along each axis.

    .. math:: \sigma_a = \sqrt{\sum_p (p_a - c_a - m_a)^2\, h(p) / \sum_p h(p)}

    with the centroid m and the centre c.

    Parameters
    ----------
    psf : Tensor
        `(..., kh, kw)` or `(..., kd, kh, kw)`, of any positive sum.
    space : int, optional
        Number of spatial axes, the last ones; by default all.

    Returns
    -------
    Tensor
        `(..., space)`, in pixels.

    Examples
    --------
    >>> deviations(torch.tensor([[0.5, 0.0, 0.5]]))
    tensor([0., 1.])
    """
    space = psf.ndim if space is None else space
    total = psf.sum(tuple(range(-space, 0)))
    middle = centroid(psf, space=space).unbind(-1)
    variances = [
        (profile * (place - mean[..., None]).square()).sum(-1) / total
        for (profile, place), mean in zip(_profiles(psf, space), middle, strict=True)
    ]
    return torch.stack(variances, -1).clamp_min(0).sqrt()


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
    return float(deviations(psf).square().sum()) ** 0.5


def widths(psf: Tensor) -> tuple[float, ...]:
    """Full width at half maximum along each axis, through the greatest value, interpolated linearly.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, of any positive scale.

    Returns
    -------
    tuple of float
        In pixels. Where the half is not reached within the array, as far as this goes.

    Examples
    --------
    >>> [round(w, 2) for w in widths(torch.tensor([[0.0, 1.0, 2.0, 1.0, 0.0]]))]
    [1.0, 2.0]
    """
    peak = [int(i) for i in torch.unravel_index(psf.argmax(), psf.shape)]
    half = float(psf.max()) / 2
    found = []
    for axis, top in enumerate(peak):
        line = psf[tuple(slice(None) if a == axis else p for a, p in enumerate(peak))].tolist()
        reach = 0.0
        for side in (line[top:], line[top::-1]):
            below = next((i for i, value in enumerate(side) if value <= half), None)
            if below is None:
                reach += len(side) - 0.5
            else:
                reach += below - (half - side[below]) / (side[below - 1] - side[below])
        found.append(reach)
    return tuple(found)


def _profiles(psf: Tensor, space: int) -> list[tuple[Tensor, Tensor]]:
    """Along each axis the mass at each place `(..., s)`, and the places `(s,)` from the centre."""
    profiles = []
    for axis in range(-space, 0):
        others = tuple(a for a in range(-space, 0) if a != axis)
        n = psf.shape[axis]
        place = torch.arange(n, dtype=psf.dtype, device=psf.device) - (n - 1) // 2
        profiles.append((psf.sum(others) if others else psf, place))
    return profiles
