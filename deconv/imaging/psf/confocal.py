"""The psf of a confocal microscope, in three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from ...choices import check_choice
from .radial import round_about
from .stratified import Microscope, Optics, explain_optics, planes
from .window import finish, positive

__all__ = ["confocal"]

# The largest pinhole in Airy units: far beyond, the detection is that of a widefield microscope.
_LARGEST = 50

# Samples of the detection's intensity along a wavelength over the aperture, of which its oscillations take half of one.
_SAMPLES = 32


@explain_optics
def confocal(
    size: tuple[int, int, int],
    *,
    excitation: float,
    emission: float,
    pinhole: float = 1.0,
    model: Literal["vectorial", "scalar"] = "vectorial",
    **optics: Unpack[Optics],
) -> Tensor:
    r"""Psf of a confocal microscope: excitation times detection through the pinhole.

    .. math:: h(r, z) = h_\text{ex}(r, z) \int_{|s| \le a} h_\text{em}(r - s, z)\, ds, \quad
        a = \text{pinhole} \cdot 0.61\, \lambda_\text{em} / \text{NA}

    with the psfs of both wavelengths by the same objective.

    Parameters
    ----------
    size : tuple of int
        `(kd, kh, kw)`; even sizes end with an empty slice, row or column, and move nothing.
    excitation, emission : float
        Wavelengths of the laser and of the fluorescence in vacuum. All lengths are in one unit, in micrometres for the
        defaults.
    pinhole : float
        Diameter of the pinhole in Airy units, each the diameter of the first dark ring of the emission; up to 50. The
        smaller, the sharper and the darker; a wide one leaves the excitation alone.
    model : {"vectorial", "scalar"}
        The theory of both factors, `vectorial` or `gibson_lanni`.
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
        index, a pinhole beyond 50 Airy units, an unknown model, or a size that is not
        three positive integers.

    References
    ----------
    Wilson & Carlini, "Size of the detector in confocal imaging systems", Optics Letters 12, 1987.
    """
    positive(pinhole=pinhole)
    if pinhole > _LARGEST:
        raise ValueError(f"pinhole: expected at most {_LARGEST} Airy units, given {pinhole!r}")
    check_choice("model", model, ("vectorial", "scalar"))
    microscope = Microscope(**optics)
    microscope.check_wavelengths(excitation=excitation, emission=emission)
    slices, rows, columns = planes(size)
    intensity = microscope.vectorial if model == "vectorial" else microscope.scalar
    excited, detected = intensity(excitation, slices), intensity(emission, slices)
    radius = pinhole * 0.61 * emission / microscope.aperture / microscope.pixel
    through = _through_pinhole(detected, radius, emission / microscope.aperture / microscope.pixel / _SAMPLES)
    values = round_about(lambda r: excited(r) * through(r), (rows, columns))
    return finish(values, (slices, rows, columns))


def _through_pinhole(
    intensity: Callable[[Tensor], Tensor], radius: float, spacing: float
) -> Callable[[Tensor], Tensor]:
    r"""Integral of a radial intensity over a disk, as a function of the disk's distance from the axis, in pixels.

    With A(d) the area that the disk shares with the disk of radius d about the axis, the integral is
    :math:`\int h(d)\, dA(d) = h(D) A(D) - \int h'(d) A(d)\, dd`; h is linear between samples.
    """
    node, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(8))

    def through(r: Tensor) -> Tensor:
        count = math.ceil((float(r.max()) + radius) / spacing)
        d = spacing * torch.arange(count + 1, dtype=torch.float64)
        h = intensity(d)
        inside = d[:-1, None] + spacing * (node + 1) / 2  # (samples, nodes)
        areas = torch.stack([_shared_area(inside, radius, at) @ weight / 2 for at in r.tolist()], 1)
        return h[:, -1:] * math.pi * radius**2 - h.diff(dim=1) @ areas

    return through


def _shared_area(d: Tensor, radius: float, distance: float) -> Tensor:
    """Area that disks of radii `d` and `radius` share when their centres are `distance` apart."""
    if distance == 0:
        return math.pi * d.clamp_max(radius) ** 2
    # The clamps hold for disks apart, and for one within the other.
    first = ((distance**2 + d**2 - radius**2) / (2 * distance * d)).clamp(-1, 1)
    second = ((distance**2 + radius**2 - d**2) / (2 * distance * radius)).clamp(-1, 1)
    kite = (radius + d - distance) * (distance + d - radius) * (distance - d + radius) * (distance + d + radius)
    return d**2 * first.acos() + radius**2 * second.acos() - kite.clamp_min(0).sqrt() / 2
