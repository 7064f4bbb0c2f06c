"""A psf moved by parts of a pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .moments import centroid

__all__ = ["centre", "centred", "interpolated", "shifted"]

# Zeros around the psf, so that nothing that is moved out on one side comes in on the other.
_MARGIN = 8

# Parts of a pixel that are not worth an interpolation.
_SAME = 0.01

# What Fourier interpolation may take below zero, as a part of the sum. Spots with a deviation of at least 0.35 pixels
# stay below, and are better for it; lines as thin as a pixel do not.
_BELOW_ZERO = 0.3

# A psf with so much of its light at so much of its peak is a box, whose edges are those of pixels.
_LEVEL, _LIGHT = 0.9, 0.75


def shifted(values: Tensor, offsets: Sequence[float]) -> Tensor:
    r"""An array moved by any number of pixels along each axis, by Fourier interpolation.

    .. math:: \hat h'(f) = e^{-2 \pi i f \cdot d}\, \hat h(f)

    Parameters
    ----------
    values : Tensor
        Of any number of axes; zero is outside.
    offsets : sequence of float
        d, downwards and to the right.

    Returns
    -------
    Tensor
        float64, of the same shape; what is moved out of it is lost. Where the array is not smooth it overshoots.
    """
    values = values.double()
    axes = tuple(range(values.ndim))
    pad = [_MARGIN + int(abs(d)) for d in offsets]
    padded = F.pad(values, [side for n in reversed(pad) for side in (n, n)])
    spectrum = torch.fft.fftn(padded, dim=axes)
    for axis, (n, d) in enumerate(zip(padded.shape, offsets, strict=True)):
        frequency = torch.fft.fftfreq(n, dtype=torch.float64)
        turn = torch.exp(-2j * torch.pi * frequency * d)
        if n % 2 == 0:
            turn[n // 2] = turn[n // 2].real.clone()  # so that what is real stays so
        spectrum = spectrum * turn.reshape([n if a == axis else 1 for a in axes])
    moved = torch.fft.ifftn(spectrum, dim=axes).real
    return moved[tuple(slice(n, n + s) for n, s in zip(pad, values.shape, strict=True))]


def interpolated(psf: Tensor, offsets: Sequence[float]) -> tuple[Tensor, bool]:
    r"""A psf moved by less than a pixel along each axis, and whether it had to be interpolated linearly.

    Of all psfs c, not negative and of sum 1, the nearest to what Fourier interpolation makes of it:

    .. math:: \min_c \sum_p (c(p) - h'(p))^2 \;\Rightarrow\; c = \max(h' - t, 0)

    with the t that makes the sum 1. A psf of lines as thin as a pixel, or a box with edges between pixels, is not
    smooth enough for that: its light is taken for even within each pixel, which is linear interpolation, and widens it.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, not negative, sum 1, zero where the light is moved to.
    offsets : sequence of float
        d, downwards and to the right, between -1 and 1.

    Returns
    -------
    psf : Tensor
        float64, of the same shape, not negative, sum 1.
    linear : bool
        Whether by linear interpolation.
    """
    psf = psf.double()
    box = float(psf[psf >= _LEVEL * psf.max()].sum()) >= _LIGHT
    moved = psf if box else shifted(psf, offsets)
    if not box and float(-moved.clamp_max(0).sum()) <= _BELOW_ZERO:
        descending = moved.flatten().sort(descending=True).values
        level = (descending.cumsum(0) - 1) / torch.arange(1, descending.numel() + 1)
        return (moved - level[int((descending > level).nonzero()[-1])]).clamp_min(0), False
    moved = psf
    for axis, d in enumerate(offsets):
        moved = (1 - abs(d)) * moved + abs(d) * moved.roll(int(math.copysign(1, d)), axis)
    return moved / moved.sum(), True


def centred(psf: Tensor) -> tuple[Tensor, tuple[float, ...], bool]:
    """A psf with its centroid in the middle, by how much it was moved for that, and whether by linear interpolation.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, not negative, of positive sum.

    Returns
    -------
    psf : Tensor
        float64, sum 1, of the smallest odd size that holds all that is not zero.
    moved : tuple of float
        In pixels along each axis, downwards and to the right; whole numbers where that is enough.
    linear : bool
        See `interpolated`.
    """
    values = psf.double() / psf.double().sum()
    places = [(n - 1) // 2 + d for n, d in zip(values.shape, centroid(values).tolist(), strict=True)]
    middles = [round(place) for place in places]
    parts = [middle - place for middle, place in zip(middles, places, strict=True)]
    parts = [0.0 if abs(part) < _SAME else part for part in parts]
    pad: list[int] = []
    for axis in reversed(range(values.ndim)):
        lit = values.movedim(axis, 0).flatten(1).any(1).nonzero()
        part = parts[axis]
        first, last = int(lit[0]) + math.floor(part), int(lit[-1]) + math.ceil(part)
        reach = max(middles[axis] - first, last - middles[axis])
        pad += [reach - middles[axis], middles[axis] + reach + 1 - values.shape[axis]]
    values, linear = F.pad(values, pad), False
    if any(parts):
        values, linear = interpolated(values, parts)
    return values, tuple((n - 1) // 2 - m + p for n, m, p in zip(psf.shape, middles, parts, strict=True)), linear


def centre(psf: Tensor) -> Tensor:
    """A psf with its centroid in the middle of an array of odd size, to a part of a pixel, see `interpolated`.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, not negative, of positive sum.

    Returns
    -------
    Tensor
        Of the smallest odd size that holds the whole psf, float32, not negative, sum 1.

    Examples
    --------
    >>> from deconv.imaging.psf.moments import centroid
    >>> between = torch.tensor([[0.0, 1.0, 3.0, 3.0, 1.0, 0.0]])
    >>> abs(centroid(centre(between))).max() < 0.02
    tensor(True)
    """
    return centred(psf)[0].float()
