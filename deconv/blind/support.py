"""From least-squares weights to a psf: what is faint, or apart from the rest, is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..imaging.psf.moments import centroid

__all__ = ["average", "centred", "clean", "cropped", "delta", "extent", "odd", "simplex"]

# Weights are compared with the greatest one, but no more than so many times the one that half of their sum reaches:
# where the camera rested there is a bright dot, beside which the lines to it would all be faint.
_BRIGHT = 2.0
# What is fainter in an average, relative to its greatest value, few of its members have.
_FAINT = 0.03


def average(psfs: Sequence[Tensor]) -> Tensor:
    """The mean of psfs of one size, each moved by whole pixels to where it fits the first best."""
    first = psfs[0]
    moved = []
    for psf in psfs:
        fit = torch.fft.irfft2(torch.fft.rfft2(first) * torch.fft.rfft2(psf).conj(), s=psf.shape)
        moved.append(psf.roll(divmod(int(fit.argmax()), psf.shape[1]), (0, 1)))
    return centred(clean(torch.stack(moved).mean(0), cut=_FAINT))


def clean(weights: Tensor, *, cut: float = 0.05, least_mass: float = 0.1) -> Tensor:
    """The psf of sum 1 among these weights `(kh, kw)`; that of no blur where none is positive.

    Parameters
    ----------
    cut : float
        What is below this share of the greatest weight, or of twice the median of the light, becomes zero.
    least_mass : float
        So do connected pieces with less than this share of the sum, except the largest.
    """
    from scipy import ndimage

    greatest = float(weights.max())
    if not greatest > 0:
        return delta(weights)
    ordered = weights.clamp_min(0).flatten().sort(descending=True).values
    brightness = ordered.cumsum(0)
    median = float(ordered[int((brightness < brightness[-1] / 2).sum())])
    psf = torch.where(weights >= cut * min(greatest, _BRIGHT * median), weights, 0)
    found = ndimage.label(psf.cpu().numpy() > 0, structure=[[1, 1, 1]] * 3)
    pieces, count = cast("tuple[np.ndarray, int]", found)
    if count > 1:
        labels = torch.from_numpy(pieces).long().to(psf.device)
        mass = psf.new_zeros(count + 1).index_add(0, labels.flatten(), psf.flatten())
        keep = mass >= min(least_mass * float(mass.sum()), float(mass.max()))
        psf = psf * keep[labels]
    return psf / psf.sum()


def centred(psf: Tensor) -> Tensor:
    """Moved by whole pixels so that the centre of mass comes to the centre; what leaves the window is lost."""
    moved = psf
    for axis, distance in enumerate(centroid(psf).tolist()):
        shift, n = -round(distance), psf.shape[axis]
        if shift:
            moved = moved.roll(shift, axis)
            lost = slice(0, shift) if shift > 0 else slice(n + shift, n)
            moved[(lost, slice(None)) if axis == 0 else (slice(None), lost)] = 0
    return moved / moved.sum()


def extent(psf: Tensor) -> tuple[int, int]:
    """Height and width of the smallest window around the centre that has all the light of a psf `(kh, kw)`."""
    rows, columns = psf.nonzero().unbind(1)
    reach = (int((index - n // 2).abs().max()) for index, n in zip((rows, columns), psf.shape, strict=True))
    height, width = (2 * each + 1 for each in reach)
    return height, width


def cropped(psf: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of a psf, in a window of that size if it has one as large."""
    top, left = (max(0, (n - s) // 2) for n, s in zip(psf.shape, size, strict=True))
    middle = psf[top : psf.shape[0] - top, left : psf.shape[1] - left]
    return middle / middle.sum()


def delta(like: Tensor) -> Tensor:
    """The psf of no blur, of the same size."""
    psf = torch.zeros_like(like)
    psf[(psf.shape[0] - 1) // 2, (psf.shape[1] - 1) // 2] = 1
    return psf


def odd(length: float) -> int:
    """The odd number nearest to a length, upwards from an even one."""
    return 2 * int(length // 2) + 1


def simplex(weights: Tensor) -> Tensor:
    """The nearest psf: nothing negative, sum 1 (Duchi, Shalev-Shwartz, Singer and Chandra, ICML 2008)."""
    ordered = weights.flatten().sort(descending=True).values
    count = torch.arange(1, len(ordered) + 1, dtype=weights.dtype, device=weights.device)
    excess = (ordered.cumsum(0) - 1) / count
    return (weights - excess[(ordered > excess).nonzero()[-1]]).clamp_min(0)
