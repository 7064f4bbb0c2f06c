r"""Wiener filters without a Fourier transform: a correlation, then two causal solves.

The filter is :math:`\bar H / R` with :math:`R = |H|^2 + \lambda G`, where 1 / G is the spectrum assumed of
the scene and :math:`\lambda` the variance of the noise over that of the scene.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..imaging.boundary import crop, extend, fade
from ..imaging.convolution import convolve_adjoint
from ..ops.spectral import spectral_divide, spectral_factor

__all__ = ["fading_margins", "recursive_filter", "wiener_factor"]

_SPECTRA = ("flat", "natural")

# Over how many pixels a canvas fades, at least; otherwise four times the size of the psf.
_LEAST_REACH = 32

# Error of the filter relative to the image's contrast: about 46 dB in PSNR.
_TOLERANCE = 2e-2


def wiener_factor(psf: Tensor, noise_to_signal: float | Tensor, *, spectrum: str = "natural") -> tuple[Tensor, bool]:
    """Spectral factor of R, and whether it is that of the transposed psf.

    Raster order may run along the rows or along the columns of an image. The choice that needs fewer taps is
    taken: blur along the raster's lines needs many, blur across them few.

    psf: `(..., kh, kw)`. noise_to_signal: positive, broadcasts against the leading axes.
    spectrum: of the scene. ``"flat"``: G = 1. ``"natural"``: G = g + g^2 with the transfer function g of the
        squared gradient, which is how the spectrum of photographs falls.
    """
    if spectrum not in _SPECTRA:
        raise ValueError(f"spectrum: unknown {spectrum!r}, allowed are {', '.join(_SPECTRA)}")
    penalty = psf.new_ones(1, 1, 1)
    if spectrum == "natural":
        difference = psf.new_tensor([[0, 0, 0], [0, -1, 1], [0, 0, 0]])
        laplacian = psf.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
        penalty = torch.stack([difference, difference.mT, laplacian])
    upright = psf.shape[-2] >= psf.shape[-1]
    found, refusal = [], None
    for transposed in (not upright, upright):
        kernel = psf.mT if transposed else psf
        try:
            factor = spectral_factor(kernel, noise_to_signal, penalty=penalty, tolerance=_TOLERANCE)
        except ValueError as error:
            refusal = error
            continue
        found.append((factor, transposed))
        if factor.shape[-1] <= 2 * max(kernel.shape[-1], penalty.shape[-1]) - 1:
            break  # the other one is not going to be narrower
    if not found:
        raise refusal
    return min(found, key=lambda pair: pair[0].shape[-2:].numel())


def fading_margins(size: Sequence[int]) -> list[tuple[int, int]]:
    """How far a canvas should go on around a frame and fade, for a psf of this size: one pair per axis."""
    return [(reach, reach) for reach in (max(_LEAST_REACH, 4 * s) for s in size)]


def recursive_filter(
    canvas: Tensor,
    margins: Sequence[tuple[int, int]],
    numerator: Tensor,
    factor: Tensor,
    *,
    transposed: bool = False,
) -> Tensor:
    r"""Correlate with the numerator and divide by :math:`|P|^2`, the canvas fading to zero across its
    margins.

    A canvas that fades meets the recursions without an edge, to which a sharp filter answers with ringing
    that reaches far.

    Parameters
    ----------
    canvas: `(B, C, H, W)`, of mean zero or about it.
    margins: how far to fade, ``((top, bottom), (left, right))``; they are cut off the result.
    numerator: `(kh, kw)` or `(B or 1, C or 1, kh, kw)`. For the Wiener filter, the psf.
    factor: see `spectral_divide`. transposed: it belongs to the transposed image.
    """
    # The first solve needs zeros as far as the correlation spreads, the second one has to begin where the
    # first has decayed.
    spread = numerator.shape[-2:]
    settled = [(s, after) for s, (_, after) in zip(spread, margins, strict=True)]
    canvas = extend(fade(canvas, margins), settled, method="zero")
    canvas = convolve_adjoint(canvas, numerator, boundary="zero")
    canvas = spectral_divide(canvas.mT, factor).mT if transposed else spectral_divide(canvas, factor)
    return crop(crop(canvas, settled), margins)
