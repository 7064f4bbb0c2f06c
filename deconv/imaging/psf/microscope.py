"""The psf of a widefield microscope, in three dimensions."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ...choices import check_choice
from .radial import legendre, round_about
from .window import check_size, finish, positive, resolve

__all__ = ["gibson_lanni"]


def gibson_lanni(
    size: tuple[int, int, int],
    *,
    wavelength: float,
    aperture: float,
    pixel: float,
    step: float,
    depth: float = 0.0,
    n_sample: float = 1.33,
    n_immersion: float = 1.515,
    n_immersion_design: float = 1.515,
    n_coverslip: float = 1.5,
    n_coverslip_design: float = 1.5,
    t_coverslip: float = 170.0,
    t_coverslip_design: float = 170.0,
    t_immersion_design: float = 150.0,
    z: Literal["stage", "sample"] = "stage",
) -> Tensor:
    r"""Gibson and Lanni's psf: scalar diffraction with the aberrations of sample, coverslip and immersion medium.

    .. math:: h(r, z) = \left| \int_0^1 J_0(k\,\text{NA}\,r\rho)\, e^{i k W(\rho, z)} \rho\, d\rho \right|^2

    where W is the difference in optical path between the microscope as it is used and as it was designed.

    Parameters
    ----------
    size : tuple of int
        `(kd, kh, kw)`; even sizes end with an empty slice, row or column, and move nothing.
    wavelength : float
        Of the light in vacuum. All lengths are in one unit, in micrometres for the defaults.
    aperture : float
        The numerical aperture.
    pixel : float
        Size of a pixel in the sample.
    step : float
        Distance of two slices.
    depth : float
        Of the source of light below the coverslip.
    n_sample : float
        Refractive index of the sample.
    n_immersion, n_immersion_design : float
        Refractive index of the immersion medium, and of the one that the objective was made for.
    n_coverslip, n_coverslip_design : float
        Refractive index of the coverslip, likewise.
    t_coverslip, t_coverslip_design : float
        Thickness of the coverslip, likewise.
    t_immersion_design : float
        Thickness of the layer of immersion medium that the objective was made for.
    z : {"stage", "sample"}
        The order of the slices. ``"sample"``: from the one focused nearest to the coverslip to the one focused deepest
        in the sample, as a stack that begins at the coverslip, and as in psfmodels; ``"stage"``: from the deepest to
        the coverslip, as the layer of immersion medium grows, and as in microscPSF.

    Returns
    -------
    Tensor
        `(kd, kh, kw)`, float32, sum 1. The central slice is at the nominal focus; a deep source is sharp elsewhere.

    Raises
    ------
    ValueError
        A length or index that is not positive, or a size that is not three positive integers.

    References
    ----------
    Gibson & Lanni, "Experimental test of an analytical model of aberration in an oil-immersion objective lens used in
    three-dimensional light microscopy", Journal of the Optical Society of America A 9, 1992.
    """
    positive(
        wavelength=wavelength,
        aperture=aperture,
        pixel=pixel,
        step=step,
        n_sample=n_sample,
        n_immersion=n_immersion,
        n_immersion_design=n_immersion_design,
        n_coverslip=n_coverslip,
        n_coverslip_design=n_coverslip_design,
        t_coverslip=t_coverslip,
        t_coverslip_design=t_coverslip_design,
        t_immersion_design=t_immersion_design,
    )
    if not (isinstance(depth, int | float) and math.isfinite(depth) and depth >= 0):
        raise ValueError(f"depth: expected a number of at least 0, given {depth!r}")
    check_choice("z", z, ("stage", "sample"))
    if len(size) != 3:
        raise ValueError(f"size: expected (kd, kh, kw), given {size!r}")
    plane = resolve((size[1], size[2]), 0, must_hold=False)
    slices, _ = resolve((size[0], 1), 0, must_hold=False)
    check_size((slices, *plane))
    k = 2 * math.pi / wavelength
    half = (slices - 1) // 2
    offsets = step * torch.arange(-half, half + 1, dtype=torch.float64)
    offsets = offsets if z == "stage" else -offsets

    # Light that a medium reflects totally does not come through: the pupil ends there.
    indices = (n_sample, n_immersion, n_immersion_design, n_coverslip, n_coverslip_design)
    rim = min(1.0, *(n / aperture for n in indices))

    def path(n: float, thickness: float | Tensor, rho: Tensor) -> Tensor:
        return n * thickness * (1 - (aperture * rho / n) ** 2).clamp_min(0).sqrt()

    def profile(r: Tensor) -> Tensor:
        immersion = offsets[:, None] + n_immersion * (
            t_coverslip_design / n_coverslip_design
            - t_coverslip / n_coverslip
            + t_immersion_design / n_immersion_design
            - depth / n_sample
        )

        def difference(rho: Tensor) -> Tensor:
            return (
                path(n_sample, depth, rho)
                + path(n_coverslip, t_coverslip, rho)
                - path(n_coverslip_design, t_coverslip_design, rho)
                + path(n_immersion, immersion, rho)
                - path(n_immersion_design, t_immersion_design, rho)
            )

        coarse = difference(torch.linspace(0, rim, 65, dtype=torch.float64)[None])
        turns = float(coarse.diff().abs().sum(1).max()) / wavelength + aperture * pixel * float(r.max()) / wavelength
        rho, weight = legendre(rim, turns)
        wave = torch.polar((rho * weight).expand(len(offsets), -1), k * difference(rho[None]))
        rings = torch.special.bessel_j0(k * aperture * pixel * r[:, None] * rho)
        return (wave @ rings.T.to(wave.dtype)).abs() ** 2

    return finish(round_about(profile, plane), (slices, *plane))
