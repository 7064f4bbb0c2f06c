"""A psf moved by parts of a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .moments import centroid

__all__ = ["centre", "shifted"]

# Zeros around the psf, so that nothing that is moved out on one side comes in on the other.
_MARGIN = 8


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
            turn[n // 2] = turn[n // 2].real  # so that what is real stays so
        spectrum = spectrum * turn.reshape([n if a == axis else 1 for a in axes])
    moved = torch.fft.ifftn(spectrum, dim=axes).real
    return moved[tuple(slice(n, n + s) for n, s in zip(pad, values.shape, strict=True))]


def centre(psf: Tensor) -> Tensor:
    """A psf with its centroid in the middle of an array of odd size, to a part of a pixel, see `shifted`.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, of positive sum.

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
    offsets = centroid(psf.double()).tolist()
    grown = []
    for n, d in zip(psf.shape, offsets, strict=True):
        middle = (n - 1) // 2
        reach = max(middle + d, n - 1 - middle - d)
        grown.append(int(reach + 0.999))
    pad: list[int] = []
    for n, reach in zip(reversed(psf.shape), reversed(grown), strict=True):
        before = reach - (n - 1) // 2
        pad += [before, 2 * reach + 1 - n - before]
    values = F.pad(psf.double(), pad)
    whole = [round(d) for d in offsets]
    values = values.roll([-d for d in whole], list(range(psf.ndim)))
    moved = shifted(values, [w - d for w, d in zip(whole, offsets, strict=True)]).clamp_min(0)
    return (moved / moved.sum()).float()
