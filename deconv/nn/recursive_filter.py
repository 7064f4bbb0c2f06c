r"""Wiener filters without a Fourier transform: a correlation, then two causal solves.

The filter is :math:`\bar H / R` with :math:`R = |H|^2 + \lambda G`, where 1 / G is the power spectrum assumed of the
latent image and :math:`\lambda` the variance of the noise over that of the latent image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ..choices import check_choice
from ..imaging.boundary import crop, extend, fade
from ..imaging.convolution import convolve_adjoint
from ..ops.spectral import spectral_divide, spectral_factor

__all__ = ["Spectrum", "fading_margins", "recursive_filter", "wiener_factor"]

Spectrum = Literal["flat", "natural"]

# Over how many pixels the padded image fades, at least; otherwise four times the size of the psf.
_LEAST_REACH = 32

# Error of the filter relative to the image's contrast: about 46 dB in PSNR.
_TOLERANCE = 2e-2


def wiener_factor(
    psf: Tensor, noise_to_signal: float | Tensor, *, spectrum: Spectrum = "natural"
) -> tuple[Tensor, bool]:
    """Spectral factor of R, and whether it is that of the transposed psf.

    Raster order may run along the rows or along the columns of an image. The choice that needs fewer taps is
    taken: blur along the raster's lines needs many, blur across them few.

    Parameters
    ----------
    psf : Tensor
        `(..., kh, kw)`.
    noise_to_signal : float or Tensor
        Positive; broadcasts against the leading axes.
    spectrum : {"flat", "natural"}
        Of the latent image. ``"flat"``: G = 1. ``"natural"``: G = g + g^2 with the transfer function g of the squared
        gradient, which is how the spectrum of photographs falls.

    Returns
    -------
    factor : Tensor
        `(..., rows, columns)`, a half-plane kernel.
    transposed : bool
        Whether it divides the transposed image.
    """
    check_choice("spectrum", spectrum, get_args(Spectrum))
    penalty = psf.new_ones(1, 1, 1)
    if spectrum == "natural":
        difference = psf.new_tensor([[0, 0, 0], [0, -1, 1], [0, 0, 0]])
        laplacian = psf.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
        penalty = torch.stack([difference, difference.mT, laplacian])
    upright = psf.shape[-2] >= psf.shape[-1]
    found: list[tuple[Tensor, bool]] = []
    refusals: list[ValueError] = []
    for transposed in (not upright, upright):
        kernel = psf.mT if transposed else psf
        try:
            factor = spectral_factor(kernel, noise_to_signal, penalty=penalty, tolerance=_TOLERANCE)
        except ValueError as error:
            refusals.append(error)
            continue
        found.append((factor, transposed))
        if factor.shape[-1] <= 2 * max(kernel.shape[-1], penalty.shape[-1]) - 1:
            break  # the other one is not going to be narrower
    if not found:
        raise refusals[-1]
    return min(found, key=lambda pair: pair[0].shape[-2:].numel())


def fading_margins(size: Sequence[int]) -> list[tuple[int, int]]:
    """How far a padded image reaches beyond the frame, fading, for a psf of this size: one pair per axis."""
    return [(reach, reach) for reach in (max(_LEAST_REACH, 4 * s) for s in size)]


def recursive_filter(
    padded: Tensor,
    margins: Sequence[tuple[int, int]],
    numerator: Tensor,
    factor: Tensor,
    *,
    transposed: bool = False,
) -> Tensor:
    r"""Correlate with the numerator and divide by :math:`|P|^2`, the padded image fading to zero across its margins.

    Where it fades, the recursions meet no edge, to which a sharp filter would answer with ringing that reaches far.

    Parameters
    ----------
    padded : Tensor
        `(B, C, H, W)`, the image continued past the frame, of mean zero or about it.
    margins : sequence of tuple of int
        How far it fades, ``((top, bottom), (left, right))``; they are cut off the result.
    numerator : Tensor
        `(kh, kw)` or `(B or 1, C or 1, kh, kw)`. For the Wiener filter, the psf.
    factor : Tensor
        See `deconv.ops.spectral_divide`.
    transposed : bool
        It belongs to the transposed image.

    Returns
    -------
    Tensor
        `(B, C, H - top - bottom, W - left - right)`.
    """
    # The first solve needs zeros as far as the correlation spreads, the second one has to begin where the
    # first has decayed.
    spread = numerator.shape[-2:]
    settled = [(s, after) for s, (_, after) in zip(spread, margins, strict=True)]
    padded = extend(fade(padded, margins), settled, method="zero")
    padded = convolve_adjoint(padded, numerator, boundary="zero")
    padded = spectral_divide(padded.mT, factor).mT if transposed else spectral_divide(padded, factor)
    return crop(crop(padded, settled), margins)
