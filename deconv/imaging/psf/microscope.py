"""The psf of a widefield microscope, in three dimensions."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from .radial import round_about
from .stratified import Microscope, Optics, explain_optics, planes
from .window import finish

__all__ = ["gibson_lanni", "vectorial"]


@explain_optics
def gibson_lanni(
    size: tuple[int, int, int],
    *,
    wavelength: float,
    **optics: Unpack[Optics],
) -> Tensor:
    r"""Gibson and Lanni's psf: scalar diffraction with the aberrations of sample, coverslip and immersion medium.

    .. math:: h(r, z) = \left| \int_0^1 J_0(k\,\text{NA}\,r\rho)\, e^{i k W(\rho, z)} \rho\, d\rho \right|^2

    where W is the difference in optical path between the microscope as it is used and as it was designed. With an
    aperture above an index, the pupil ends where that medium reflects totally: the theory is one of rays. The
    evanescent light of sources within a wavelength of the coverslip needs Fresnel's transmission, see `vectorial`;
    with an amplitude of 1 it would make the psf sharper than it is.

    Parameters
    ----------
    size : tuple of int
        `(kd, kh, kw)`; even sizes end with an empty slice, row or column, and move nothing.
    wavelength : float
        Of the light in vacuum. All lengths are in one unit, in micrometres for the defaults.
    **optics : Optics
        Objective, immersion medium, coverslip and sample, lengths in the same unit.

    Returns
    -------
    Tensor
        `(kd, kh, kw)`, float32, sum 1. The central slice is at the nominal focus; a deep source is sharp elsewhere.

    Raises
    ------
    ValueError
        A length or index that is not positive, lengths in several units, an aperture above the immersion medium's
        index, or a size that is not three positive integers.

    References
    ----------
    Gibson & Lanni, "Experimental test of an analytical model of aberration in an oil-immersion objective lens used in
    three-dimensional light microscopy", Journal of the Optical Society of America A 9, 1992.
    The pupil's end: Li, Xue & Blu, "Fast and accurate three-dimensional point spread function computation for
    fluorescence microscopy", Journal of the Optical Society of America A 34, 2017.
    """
    microscope = Microscope(**optics)
    microscope.check_wavelengths(wavelength=wavelength)
    slices, rows, columns = planes(size)
    return finish(round_about(microscope.scalar(wavelength, slices), (rows, columns)), (slices, rows, columns))


@explain_optics
def vectorial(
    size: tuple[int, int, int],
    *,
    wavelength: float,
    **optics: Unpack[Optics],
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
    **optics : Optics
        Objective, immersion medium, coverslip and sample, lengths in the same unit.

    Returns
    -------
    Tensor
        `(kd, kh, kw)`, float32, sum 1. The central slice is at the nominal focus; a deep source is sharp elsewhere.

    Raises
    ------
    ValueError
        A length or index that is not positive, lengths in several units, an aperture above the immersion medium's
        index, or a size that is not three positive integers.

    References
    ----------
    Richards & Wolf, "Electromagnetic diffraction in optical systems II", Proceedings of the Royal Society A 253, 1959.
    Aguet, Geissbuehler, Maerki, Lasser & Unser, "Super-resolution orientation estimation and localization of
    fluorescent dipoles using 3-D steerable filters", Optics Express 17, 2009.
    """
    microscope = Microscope(**optics)
    microscope.check_wavelengths(wavelength=wavelength)
    slices, rows, columns = planes(size)
    return finish(round_about(microscope.vectorial(wavelength, slices), (rows, columns)), (slices, rows, columns))
