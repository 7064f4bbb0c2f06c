"""Diffraction at a circular aperture: the Airy pattern, defocus, and whatever Zernike polynomials describe.

One length fixes the scale: the radius of the Airy pattern's first dark ring, ``1.22 * wavelength * f_number /
pixel`` pixels. Values are taken at the pixel centres; the patterns hold no frequency above ``1.22 / radius``
cycles per pixel, so that nothing is lost from a radius of 2.44 pixels on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .radial import round_about
from .window import Size, check_size, finish, offsets, positive, resolve

__all__ = ["airy", "defocus", "zernike", "zernike_polynomial"]

# The first zero of the Bessel function J1, where the Airy pattern is dark.
_DARK = 3.8317059702075125


def airy(radius: float, size: Size = None) -> Tensor:
    r"""Airy pattern, :math:`(2 J_1(v) / v)^2` with :math:`v = 3.83\, r / \text{radius}`: a lens in focus.

    Parameters
    ----------
    radius : float
        Of the first dark ring in pixels.
    size : int or pair of int, optional
        Of the array; by default five radii to each side, 97 % of the light.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A radius that is not positive.

    References
    ----------
    Born & Wolf, "Principles of Optics", section 8.5.2.
    """
    positive(radius=radius)
    size = resolve(size, 5 * radius + 0.5, must_hold=False)

    def profile(r: Tensor) -> Tensor:
        v = (r * _DARK / radius).clamp_min(1e-9)
        return (2 * torch.special.bessel_j1(v) / v) ** 2

    return finish(round_about(profile, size), size)


def defocus(radius: float, waves: float, size: Size = None) -> Tensor:
    r"""A lens out of focus, with diffraction: the wavefront is off by :math:`\text{waves}\,\rho^2` wavelengths.

    Parameters
    ----------
    radius : float
        Of the first dark ring in focus, in pixels.
    waves : float
        At the rim of the pupil, where rho is 1; one wave is the least defocus with a dark centre, and many approach
        `disk`.
    size : int or pair of int, optional
        Of the array; by default large enough for the light.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.
    """
    return zernike(radius, {(2, 0): waves / math.sqrt(12)}, size)


def zernike(radius: float, coefficients: Mapping[tuple[int, int], float], size: Size = None) -> Tensor:
    r"""A lens with aberrations.

    .. math:: h(v) = \left| \int_{|\rho| \le 1} e^{2 \pi i W(\rho) - i v \cdot \rho}\, d\rho \right|^2

    Parameters
    ----------
    radius : float
        Of the first dark ring without aberrations, in pixels.
    coefficients : mapping of (int, int) to float
        The wavefront error W in wavelengths: ``{(n, m): root mean square}`` of `zernike_polynomial`, so ``(2, 0)`` is
        defocus, ``(2, 2)`` and ``(2, -2)`` astigmatism, ``(3, 1)`` and ``(3, -1)`` coma, ``(4, 0)`` spherical
        aberration. A tilt, ``(1, 1)`` or ``(1, -1)``, moves the psf, and with it the image.
    size : int or pair of int, optional
        Of the array; by default five radii and the reach of the rays to each side.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1; the pupil seen from behind the lens: x to the right, y upwards, from the last row to
        the first. For the arrays of prysm and hcipy, whose y goes with the rows, take ``psf.flip(0)``; for those of
        galsim and poppy, which are mirrored in x, ``psf.flip(1)``.

    Raises
    ------
    ValueError
        Orders that no polynomial has, or a coefficient that is not finite.

    References
    ----------
    Noll, "Zernike polynomials and atmospheric turbulence", Journal of the Optical Society of America 66, 1976.
    """
    positive(radius=radius)
    for (n, m), value in coefficients.items():
        if not math.isfinite(value):
            raise ValueError(f"coefficients: expected numbers, given {value!r} for {(n, m)}")
    # Rays land where the slope of the wavefront sends them, per axis.
    scale = radius * 2 * math.pi / _DARK
    slope = max(map(float, _slopes(coefficients)), default=0.0)
    size = resolve(size, 5 * radius + scale * slope + 0.5, must_hold=False)
    row, column = offsets(size)
    # Four samples of the pupil for each oscillation across it, of the wavefront and of the farthest pixel.
    farthest = _DARK / radius * float(torch.cat([row.flatten(), column.flatten()]).abs().max())
    count = 128 + 4 * math.ceil((farthest + 2 * math.pi * slope) / math.pi)
    check_size((count, count))
    pupil, x, y = _pupil(count)
    wave = torch.polar(pupil, 2 * math.pi * _wavefront(coefficients, x, y))
    across = torch.exp(-1j * _DARK / radius * column.T * x)  # (w, count)
    down = torch.exp(1j * _DARK / radius * row * y.T)  # (h, count): rows count downwards, y upwards
    field = down @ wave @ across.T
    return finish(field.abs() ** 2, size)


def zernike_polynomial(n: int, m: int, rho: Tensor, theta: Tensor) -> Tensor:
    r"""Zernike's polynomial of radial order n and azimuthal order m, of root mean square 1 over the unit disk.

    :math:`\sqrt{n + 1}\, R_n^0` for m = 0, :math:`\sqrt{2(n + 1)}\, R_n^{|m|}` times :math:`\cos m\theta` for m > 0 and
    :math:`\sin |m|\theta` for m < 0.

    Parameters
    ----------
    n, m : int
        Radial and azimuthal order; ``|m| <= n``, and ``n - |m|`` is even.
    rho, theta : Tensor
        Polar coordinates, rho in [0, 1], theta in radians.

    Returns
    -------
    Tensor
        The values there.

    Raises
    ------
    ValueError
        Orders that no polynomial has.
    """
    k = abs(m)
    if n < 0 or k > n or (n - k) % 2:
        raise ValueError(f"coefficients: no Zernike polynomial has the orders {(n, m)}; |m| <= n and n - |m| is even")
    radial = torch.zeros_like(rho)
    for s in range((n - k) // 2 + 1):
        below = math.factorial(s) * math.factorial((n + k) // 2 - s) * math.factorial((n - k) // 2 - s)
        radial = radial + (-1) ** s * (math.factorial(n - s) // below) * rho ** (n - 2 * s)
    if m == 0:
        return math.sqrt(n + 1) * radial
    return math.sqrt(2 * (n + 1)) * radial * (torch.cos(k * theta) if m > 0 else torch.sin(k * theta))


def _pupil(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """A disk of unit radius on an odd grid of at least `count` points: covered share, x `(1, n)`, y `(n, 1)`."""
    radius = count // 2 + 0.5
    side = count + 1 - count % 2
    row, column = offsets((side, side))
    covered = (radius - torch.hypot(row, column) + 0.5).clamp(0, 1)
    return covered, column / radius, -row / radius


def _wavefront(coefficients: Mapping[tuple[int, int], float], x: Tensor, y: Tensor) -> Tensor:
    rho, theta = torch.hypot(x, y), torch.atan2(y, x)
    total = torch.zeros_like(rho)
    for (n, m), value in coefficients.items():
        total = total + value * zernike_polynomial(n, m, rho, theta)
    return total


def _slopes(coefficients: Mapping[tuple[int, int], float]) -> tuple[Tensor, Tensor]:
    """The steepest slope of the wavefront along y and along x, in wavelengths per pupil radius."""
    pupil, x, y = _pupil(65)
    wavefront = _wavefront(coefficients, x, y)
    inside = pupil > 0
    step = float(x[0, 1] - x[0, 0])
    down = (wavefront.diff(dim=0).abs() * (inside[1:] & inside[:-1])).max() / step
    across = (wavefront.diff(dim=1).abs() * (inside[:, 1:] & inside[:, :-1])).max() / step
    return down, across
