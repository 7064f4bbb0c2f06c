"""The blur of the atmosphere in long exposures."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .radial import legendre, round_about
from .window import Size, finish, positive, resolve

__all__ = ["kolmogorov", "moffat"]

# Full width at half maximum of the long-exposure psf in units of wavelength / r0, the Fried parameter.
_SEEING = 0.9758634


def moffat(fwhm: float, beta: float = 4.765, size: Size = None) -> Tensor:
    r"""Moffat's profile of a star, :math:`(1 + r^2 / \alpha^2)^{-\beta}`, at the pixel centres.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum in pixels, :math:`2 \alpha \sqrt{2^{1/\beta} - 1}`.
    beta : float
        How fast the wings fall, above 1; 4.765 is nearest to turbulence (Trujillo et al., 2001), real telescopes have
        2.5 to 4.
    size : int or pair of int, optional
        Of the array; by default it holds 99 % of the light, or 20 widths if that takes more.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A width that is not positive, or `beta` of 1 or less.

    References
    ----------
    Moffat, "A theoretical investigation of focal stellar images in the photographic emulsion", Astronomy &
    Astrophysics 3, 1969.
    """
    positive(fwhm=fwhm, beta=beta)
    if beta <= 1:
        raise ValueError(f"beta: expected more than 1, where the light is finite, given {beta}")
    alpha = fwhm / (2 * math.sqrt(2 ** (1 / beta) - 1))
    # The light outside the radius r is (1 + r^2 / alpha^2)^(1 - beta); near beta = 1, its last 1 % is beyond numbers.
    reach = alpha * math.sqrt(math.expm1(min(math.log(0.01) / (1 - beta), 100)))
    size = resolve(size, min(reach, 10 * fwhm) + 0.5, must_hold=False)
    return finish(round_about(lambda r: (1 + (r / alpha) ** 2) ** -beta, size), size)


def kolmogorov(fwhm: float, size: Size = None) -> Tensor:
    r"""Long exposure through Kolmogorov turbulence, at the pixel centres.

    Its transfer function is :math:`\exp(-3.44\,(\lambda f / r_0)^{5/3})`, and 0.976 wavelengths over r0 its full width
    at half maximum.

    Parameters
    ----------
    fwhm : float
        The seeing, in pixels.
    size : int or pair of int, optional
        Of the array; by default five widths to each side, 99 % of the light.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A width that is not positive.

    References
    ----------
    Fried, "Optical resolution through a randomly inhomogeneous medium for very long and very short exposures",
    Journal of the Optical Society of America 56, 1966.
    """
    positive(fwhm=fwhm)
    size = resolve(size, 5 * fwhm + 0.5, must_hold=False)
    scale = fwhm / _SEEING
    highest = (36 / 3.44) ** 0.6 / scale  # cycles per pixel; beyond, the transfer function is below 1e-15

    def profile(r: Tensor) -> Tensor:
        # The Hankel transform. In f = u^3 the five-thirds power is smooth, which Gauss's rule asks for, and
        # the Bessel function oscillates up to three times as fast as on the average.
        u, weight = legendre(highest ** (1 / 3), 3 * highest * float(r.max()))
        f = u**3
        transfer = torch.exp(-3.44 * (scale * f) ** (5 / 3)) * f * 3 * u**2 * weight
        return torch.special.bessel_j0(2 * math.pi * r[:, None] * f) @ transfer

    return finish(round_about(profile, size).clamp_min(0), size)
