"""The way of light from a point in a sample through coverslip and immersion medium, and the field it makes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import Required, TypedDict

from ...choices import check_choice
from ...shared_options import explain
from .radial import legendre
from .window import check_size, positive, resolve

__all__ = ["Microscope", "Optics", "Slices", "explain_optics", "planes"]

Slices = Literal["stage", "sample"]


# Pixels, and at least how many steps, to what an objective resolves. With microscopes it is 0.1 to 100; where
# nanometres and micrometres are mixed, a thousand times more or less.
_LEAST_RATIO, _LARGEST_RATIO = 0.02, 1000.0


def planes(size: tuple[int, int, int]) -> tuple[int, int, int]:
    """The size `(kd, kh, kw)` of a psf, checked."""
    if len(size) != 3:
        raise ValueError(f"size: expected (kd, kh, kw), given {size!r}")
    rows, columns = resolve((size[1], size[2]), 0, must_hold=False)
    slices, _ = resolve((size[0], 1), 0, must_hold=False)
    check_size((slices, rows, columns))
    return slices, rows, columns


class Optics(TypedDict, total=False):
    """Objective, immersion medium, coverslip and sample, as used and as designed.

    Attributes
    ----------
    aperture : float
        The numerical aperture.
    pixel : float
        Size of a pixel in the sample.
    step : float
        Distance of two slices.
    depth : float
        Of the source of light below the coverslip, 0 by default.
    n_sample : float
        Refractive index of the sample, 1.33 by default.
    n_immersion, n_immersion_design : float
        Refractive index of the immersion medium, and of the one that the objective was made for, 1.515 by default.
    n_coverslip, n_coverslip_design : float
        Refractive index of the coverslip, likewise, 1.5 by default.
    t_coverslip, t_coverslip_design : float
        Thickness of the coverslip, likewise, 170 by default.
    t_immersion_design : float
        Thickness of the layer of immersion medium that the objective was made for, 150 by default.
    z : {"stage", "sample"}
        The order of the slices. ``"sample"``: from the one focused nearest to the coverslip to the one focused deepest
        in the sample, as a stack that begins at the coverslip, and as in psfmodels; ``"stage"``, the default: from the
        deepest to the coverslip, as the layer of immersion medium grows, and as in microscPSF.
    """

    aperture: Required[float]
    pixel: Required[float]
    step: Required[float]
    depth: float
    n_sample: float
    n_immersion: float
    n_immersion_design: float
    n_coverslip: float
    n_coverslip_design: float
    t_coverslip: float
    t_coverslip_design: float
    t_immersion_design: float
    z: Slices


explain_optics = explain(Optics, "optics")


@dataclass(frozen=True)
class Microscope:
    """What `Optics` says, and the intensity that follows."""

    aperture: float
    pixel: float
    step: float
    depth: float = 0.0
    n_sample: float = 1.33
    n_immersion: float = 1.515
    n_immersion_design: float = 1.515
    n_coverslip: float = 1.5
    n_coverslip_design: float = 1.5
    t_coverslip: float = 170.0
    t_coverslip_design: float = 170.0
    t_immersion_design: float = 150.0
    z: Slices = "stage"

    def __post_init__(self) -> None:
        values = dict(self.__dict__)
        depth, z = values.pop("depth"), values.pop("z")
        positive(**values)
        if not (isinstance(depth, int | float) and math.isfinite(depth) and depth >= 0):
            raise ValueError(f"depth: expected a number of at least 0, given {depth!r}")
        check_choice("z", z, ("stage", "sample"))
        if self.aperture > self.n_immersion_design:
            raise ValueError(
                f"aperture: {self.aperture:g} is more than the index of the immersion medium that the objective "
                f"was made for, n_immersion_design, {self.n_immersion_design:g}"
            )

    def check_wavelengths(self, **wavelengths: float) -> None:
        """Raise where one is not positive, or so far from pixel and step that nanometres and micrometres are mixed."""
        positive(**wavelengths)
        for name, value in wavelengths.items():
            pixels, steps = value / self.aperture / self.pixel, value / self.aperture**2 / self.step
            for other, there, ratio in (("pixel", self.pixel, pixels), ("step", self.step, min(steps, 1.0))):
                if not _LEAST_RATIO <= ratio <= _LARGEST_RATIO:
                    raise ValueError(
                        f"{name}: {value:g} does not go with {other} = {there:g}; all lengths are in one unit, in "
                        "micrometres for the defaults"
                    )

    def offsets(self, slices: int) -> Tensor:
        """By how much the immersion medium is thicker at each slice than at the central one: `(slices,)`."""
        half = (slices - 1) // 2
        offsets = self.step * torch.arange(-half, half + 1, dtype=torch.float64)
        return offsets if self.z == "stage" else -offsets

    def scalar(self, wavelength: float, slices: int) -> Callable[[Tensor], Tensor]:
        r"""Intensity by the scalar theory, :math:`|\int J_0(k\,\text{NA}\,r\rho) e^{ikW} \rho\,d\rho|^2`.

        The function returned takes distances from the axis in pixels `(n,)` and gives `(slices, n)`.
        """
        # Light that a medium reflects totally does not come through: the pupil ends there.
        rim = min(1.0, self.n_sample / self.aperture, *(n / self.aperture for n in self._glass()))
        offsets = self.offsets(slices)
        k = 2 * math.pi / wavelength

        def profile(r: Tensor) -> Tensor:
            rho, weight = self._nodes(0.0, rim, r, wavelength, offsets)
            wave = weight * rho * torch.exp(1j * k * self._difference(rho, offsets))
            return _rings(wave, 0, k * self.aperture * self.pixel * r, rho).abs() ** 2

        return profile

    def vectorial(self, wavelength: float, slices: int) -> Callable[[Tensor], Tensor]:
        r"""Intensity of dipoles of all directions, :math:`|I_0|^2 + 2 |I_1|^2 + |I_2|^2`; see `scalar`.

        Beyond the critical angle of the sample, the evanescent light of sources near the coverslip counts.
        """
        rim = min(1.0, *(n / self.aperture for n in self._glass()))
        # The root of the sample's index has a branch point inside the pupil where the sample reflects totally.
        critical = min(rim, self.n_sample / self.aperture)
        offsets = self.offsets(slices)
        k = 2 * math.pi / wavelength

        def profile(r: Tensor) -> Tensor:
            bounds = [(0.0, critical)] + ([(critical, rim)] if critical < rim else [])
            parts = [self._nodes(start, stop, r, wavelength, offsets) for start, stop in bounds]
            rho, weight = (torch.cat(values) for values in zip(*parts, strict=True))
            cosine = self._root(self.n_immersion, rho).real / self.n_immersion
            wave = weight * rho / cosine.sqrt() * torch.exp(1j * k * self._difference(rho, offsets))
            argument = k * self.aperture * self.pixel * r
            factors = self._polarised(rho)
            fields = [_rings(wave * factor, order, argument, rho) for order, factor in enumerate(factors)]
            return fields[0].abs() ** 2 + 2 * fields[1].abs() ** 2 + fields[2].abs() ** 2

        return profile

    def _glass(self) -> tuple[float, ...]:
        """Indices of the media that are thick: no evanescent light gets through them."""
        return self.n_immersion, self.n_immersion_design, self.n_coverslip, self.n_coverslip_design

    def _root(self, n: float, rho: Tensor) -> Tensor:
        """n times the cosine of the ray's angle in a medium, imaginary beyond the critical angle."""
        return (n**2 - (self.aperture * rho) ** 2).to(torch.complex128).sqrt()

    def _difference(self, rho: Tensor, offsets: Tensor) -> Tensor:
        """Optical path as used minus as designed: `(slices, nodes)`, complex."""
        immersion = offsets[:, None] + self.n_immersion * (
            self.t_coverslip_design / self.n_coverslip_design
            - self.t_coverslip / self.n_coverslip
            + self.t_immersion_design / self.n_immersion_design
            - self.depth / self.n_sample
        )
        return (
            self.depth * self._root(self.n_sample, rho)
            + self.t_coverslip * self._root(self.n_coverslip, rho)
            - self.t_coverslip_design * self._root(self.n_coverslip_design, rho)
            + immersion * self._root(self.n_immersion, rho)
            - self.t_immersion_design * self._root(self.n_immersion_design, rho)
        )

    def _polarised(self, rho: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is left of the amplitude in I0, I1 and I2: Fresnel's transmission of both surfaces, and projection."""
        immersion, glass, sample = (self._root(n, rho) for n in (self.n_immersion, self.n_coverslip, self.n_sample))
        ni, ng, ns = self.n_immersion, self.n_coverslip, self.n_sample
        perpendicular = 4 * immersion * glass / ((immersion + glass) * (glass + sample))
        parallel = (
            4 * immersion * glass / ((ng / ni * immersion + ni / ng * glass) * (ns / ng * glass + ng / ns * sample))
        )
        cosine, sine = sample / ns, self.aperture * rho / ns
        return perpendicular + parallel * cosine, parallel * sine, perpendicular - parallel * cosine

    def _nodes(self, start: float, stop: float, r: Tensor, wavelength: float, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes and weights of a rule over part of the pupil, fine enough for every oscillation."""
        coarse = self._difference(torch.linspace(start, stop, 65, dtype=torch.float64), offsets).real
        turns = float(coarse.diff().abs().sum(1).max()) + self.aperture * self.pixel * float(r.max()) * (stop - start)
        node, weight = legendre(stop - start, turns / wavelength)
        return start + node, weight


def _rings(wave: Tensor, order: int, argument: Tensor, rho: Tensor) -> Tensor:
    """Sum of `wave` `(slices, nodes)` times the Bessel function of an order at `argument` `(n,)` times rho."""
    x = argument[:, None] * rho
    if order == 0:
        bessel = torch.special.bessel_j0(x)
    elif order == 1:
        bessel = torch.special.bessel_j1(x)
    else:
        bessel = 2 * torch.special.bessel_j1(x) / x.clamp_min(1e-9) - torch.special.bessel_j0(x)
        bessel = torch.where(x == 0, 0, bessel)
    return wave @ bessel.T.to(wave.dtype)
