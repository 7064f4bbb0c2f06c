"""The psf of a widefield microscope, in three dimensions."""

from __future__ import annotations

from torch import Tensor

from .radial import round_about
from .stratified import Microscope, Slices, planes
from .window import finish, positive

__all__ = ["gibson_lanni", "vectorial"]


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
    z: Slices = "stage",
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
    positive(wavelength=wavelength)
    microscope = Microscope(
        aperture=aperture,
        pixel=pixel,
        step=step,
        depth=depth,
        n_sample=n_sample,
        n_immersion=n_immersion,
        n_immersion_design=n_immersion_design,
        n_coverslip=n_coverslip,
        n_coverslip_design=n_coverslip_design,
        t_coverslip=t_coverslip,
        t_coverslip_design=t_coverslip_design,
        t_immersion_design=t_immersion_design,
        z=z,
    )
    slices, rows, columns = planes(size)
    return finish(round_about(microscope.scalar(wavelength, slices), (rows, columns)), (slices, rows, columns))


def vectorial(
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
    z: Slices = "stage",
) -> Tensor:
    r"""Psf of dipoles that turn freely, seen through an objective of any aperture, by the theory of Richards and Wolf.

    .. math:: h(r, z) = |I_0|^2 + 2 |I_1|^2 + |I_2|^2, \quad
        I_m = \int_0^\alpha J_m(k\,n\,r \sin\theta)\, a_m(\theta)\, e^{i k W(\theta, z)}
        \sqrt{\cos\theta} \sin\theta\, d\theta

    where W is the difference in optical path of `gibson_lanni`, which takes light for a scalar. The transmissions
    :math:`t_s, t_p` of both surfaces of the coverslip and the angle :math:`\theta_s` in the sample make
    :math:`a_0 = t_s + t_p \cos\theta_s`, :math:`a_1 = t_p \sin\theta_s` and :math:`a_2 = t_s - t_p \cos\theta_s`. With
    an aperture above the sample's index, the evanescent light of sources near the coverslip counts.

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
    Richards & Wolf, "Electromagnetic diffraction in optical systems II", Proceedings of the Royal Society A 253, 1959.
    Aguet, Geissbuehler, Maerki, Lasser & Unser, "Super-resolution orientation estimation and localization of
    fluorescent dipoles using 3-D steerable filters", Optics Express 17, 2009.
    """
    positive(wavelength=wavelength)
    microscope = Microscope(
        aperture=aperture,
        pixel=pixel,
        step=step,
        depth=depth,
        n_sample=n_sample,
        n_immersion=n_immersion,
        n_immersion_design=n_immersion_design,
        n_coverslip=n_coverslip,
        n_coverslip_design=n_coverslip_design,
        t_coverslip=t_coverslip,
        t_coverslip_design=t_coverslip_design,
        t_immersion_design=t_immersion_design,
        z=z,
    )
    slices, rows, columns = planes(size)
    return finish(round_about(microscope.vectorial(wavelength, slices), (rows, columns)), (slices, rows, columns))
