"""Psfs of lenses, atmospheres and microscopes against the closed forms that define them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import j0, j1, jn_zeros

from deconv.imaging import psf
from deconv.imaging.convolution import psf_to_otf

DARK = jn_zeros(1, 2)  # the first two dark rings, in v

MAKERS = {
    "airy": lambda: psf.airy(3.3),
    "airy, even": lambda: psf.airy(3.3, (20, 31)),
    "defocus": lambda: psf.defocus(3, 1.5),
    "astigmatism": lambda: psf.zernike(3, {(2, 2): 0.2, (2, -2): 0.1}, 40),
    "moffat": lambda: psf.moffat(4),
    "moffat, wide wings": lambda: psf.moffat(4, 1.5, 61),
    "moffat, widest wings": lambda: psf.moffat(1, 1.0001),
    "kolmogorov": lambda: psf.kolmogorov(3.5),
    "kolmogorov, even": lambda: psf.kolmogorov(3.5, 24),
}


def radii(shape: tuple[int, ...]) -> torch.Tensor:
    row, column = (torch.arange(s, dtype=torch.float64) - (s - 1) // 2 for s in shape)
    return torch.hypot(row[:, None], column[None, :])


def centroid(h: torch.Tensor) -> tuple[float, float]:
    row, column = (torch.arange(s, dtype=torch.float64) - (s - 1) // 2 for s in h.shape)
    return float((h.double() * row[:, None]).sum()), float((h.double() * column).sum())


def width_at_half(h: torch.Tensor) -> float:
    """Full width at half maximum of the central row, by linear interpolation."""
    line = h[(h.shape[0] - 1) // 2, (h.shape[1] - 1) // 2 :].double()
    below = int((line < line[0] / 2).nonzero()[0])
    part = (line[below - 1] - line[0] / 2) / (line[below - 1] - line[below])
    return 2 * float(below - 1 + part)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_every_psf_is_a_centred_density(make):
    h = make()
    assert h.dtype == torch.float32
    assert float(h.min()) >= 0
    assert float(h.double().sum()) == pytest.approx(1, abs=1e-6)
    assert centroid(h) == pytest.approx((0, 0), abs=1e-4)
    assert torch.equal(h, make())


@pytest.mark.parametrize("radius", [4, 7])
def test_airy_is_dark_where_it_should_and_holds_the_known_energy(radius):
    h = psf.airy(radius, 40 * radius + 1).double()
    centre = 20 * radius
    assert h[centre, centre + radius] < 1e-9 * h[centre, centre]
    # The whole pattern's energy is 4 pi (radius / v1)^2 times its peak; J0^2 + J1^2 of it lies outside v.
    total = h[centre, centre] * 4 * math.pi * (radius / DARK[0]) ** 2
    for v in (DARK[0], DARK[1], 12.0):
        inside = h[radii(h.shape) <= v * radius / DARK[0]].sum() / total
        assert inside == pytest.approx(1 - j0(v) ** 2 - j1(v) ** 2, abs=0.012)


def test_airy_has_the_transfer_function_of_a_circular_pupil():
    radius, n = 5.0, 512
    otf = psf_to_otf(psf.airy(radius, 511).double(), (n, n))[0].real
    share = torch.fft.rfftfreq(n, dtype=torch.float64) * radius / (DARK[0] / math.pi)  # of the cut-off frequency
    share = share.clamp_max(1)
    expected = 2 / math.pi * (share.acos() - share * (1 - share**2).sqrt())
    torch.testing.assert_close(otf[1:], expected[1:], atol=0.01, rtol=0)


@pytest.mark.parametrize("radius", [3.0, 6.5])
def test_a_perfect_lens_is_airys(radius):
    torch.testing.assert_close(psf.zernike(radius, {}, 61), psf.airy(radius, 61), atol=1e-5, rtol=2e-3)


@pytest.mark.parametrize("waves", [0.25, 0.5, 0.75, 1.0, 1.5])
def test_defocus_has_its_strehl_ratio(waves):
    """The peak falls as sinc^2 of the waves of defocus, and vanishes at whole ones (Born & Wolf, 8.8)."""
    ratio = psf.defocus(4, waves, 301).max() if waves < 0.6 else psf.defocus(4, waves, 301)[150, 150]
    peak = psf.airy(4, 301).max()
    assert float(ratio / peak) == pytest.approx(np.sinc(waves) ** 2, abs=0.006)


def test_strong_defocus_is_the_disk_of_geometry():
    h, radius = psf.defocus(1.5, 12), 2 * 12 * 2 * math.pi * 1.5 / DARK[0]
    assert float(h[radii(h.shape) < radius * 1.05].sum()) > 0.93
    assert float(h[radii(h.shape) < radius * 0.5].sum()) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("mode", [(2, 0), (2, -2), (3, 1), (3, -3), (4, 0), (5, 1)])
def test_weak_aberrations_cost_what_marechal_says(mode):
    """The Strehl ratio is exp(-(2 pi sigma)^2) for a wavefront error of sigma wavelengths, whatever the mode."""
    peak = psf.zernike(4, {mode: 0.05}, 201).max() / psf.airy(4, 201).max()
    assert float(peak) == pytest.approx(math.exp(-((2 * math.pi * 0.05) ** 2)), abs=0.012)


@pytest.mark.parametrize(("mode", "direction"), [((1, 1), (0, 1)), ((1, -1), (-1, 0))])
def test_tilt_moves_the_psf_to_the_right_and_up(mode, direction):
    radius, waves = 4.0, 0.8
    shift = 4 * math.pi * waves * radius / DARK[0]
    row, column = centroid(psf.zernike(radius, {mode: waves}, 161))
    assert (row, column) == pytest.approx((direction[0] * shift, direction[1] * shift), abs=0.4)


def test_zernike_polynomials_are_orthonormal_on_the_disk():
    modes = [(n, m) for n in range(6) for m in range(-n, n + 1, 2)]
    rho, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(20))
    rho, weight = (rho + 1) / 2, weight / 2 * (rho + 1) / 2 * 2  # the measure 2 rho d rho
    theta = torch.arange(32, dtype=torch.float64) * 2 * math.pi / 32
    values = [psf.zernike_polynomial(n, m, rho[:, None], theta[None]) for n, m in modes]
    for (i, a), (j, b) in itertools.product(enumerate(values), repeat=2):
        assert float((a * b).mean(1) @ weight) == pytest.approx(float(i == j), abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(1, 0), (2, 1), (1, 3), (-1, 0)])
def test_orders_without_a_polynomial_are_refused(n, m):
    with pytest.raises(ValueError, match="coefficients: no Zernike polynomial"):
        psf.zernike(3, {(n, m): 0.1})


@pytest.mark.parametrize("beta", [1.5, 2.5, 4.765])
@pytest.mark.parametrize("fwhm", [6.0, 14.0])
def test_moffat_has_its_width_and_its_wings(fwhm, beta):
    h = psf.moffat(fwhm, beta, 401).double()
    assert width_at_half(h) == pytest.approx(fwhm)
    alpha = fwhm / (2 * math.sqrt(2 ** (1 / beta) - 1))
    outside = [(1 + (r / alpha) ** 2) ** (1 - beta) for r in (2 * fwhm, 200)]
    inside = float(h[radii(h.shape) <= 2 * fwhm].sum())
    assert inside == pytest.approx((1 - outside[0]) / (1 - outside[1]), abs=0.012)


@pytest.mark.parametrize("fwhm", [6.0, 12.0])
def test_kolmogorov_has_its_width_and_its_transfer_function(fwhm):
    h = psf.kolmogorov(fwhm, 151).double()
    assert width_at_half(h) == pytest.approx(fwhm, rel=2e-3)
    f = torch.fft.rfftfreq(256, dtype=torch.float64)
    expected = torch.exp(-3.44 * (f * fwhm / 0.9758634) ** (5 / 3))
    torch.testing.assert_close(psf_to_otf(h, (256, 256))[0].real, expected, atol=0.006, rtol=0)


MATCHED = {"n_sample": 1.515, "n_coverslip": 1.515, "n_coverslip_design": 1.515}


def test_microscope_in_focus_is_airys():
    h = psf.gibson_lanni((1, 61, 61), wavelength=0.5, aperture=0.9, pixel=0.05, step=0.1, **MATCHED)[0]
    torch.testing.assert_close(h, psf.airy(0.5 * DARK[0] / (2 * math.pi * 0.9 * 0.05), 61), atol=1e-6, rtol=1e-3)


def test_microscope_of_low_aperture_fades_along_the_axis_as_sinc_squared():
    wavelength, aperture, step = 0.5, 0.3, 0.4
    h = psf.gibson_lanni((81, 1, 1), wavelength=wavelength, aperture=aperture, pixel=0.2, step=step, **MATCHED)
    z = step * np.arange(-40, 41)
    expected = np.sinc(z * aperture**2 / (2 * 1.515 * wavelength)) ** 2
    np.testing.assert_allclose(h[:, 0, 0] / h[40, 0, 0], expected, atol=0.01)


def test_every_slice_of_a_microscope_holds_the_same_light():
    h = psf.gibson_lanni((9, 151, 151), wavelength=0.5, aperture=0.6, pixel=0.15, step=0.5, depth=3.0)
    slices = h.double().sum((1, 2))
    torch.testing.assert_close(slices, slices.mean().expand(9), rtol=0.02, atol=0)


def test_microscope_with_every_aberration_is_the_integral_of_its_definition():
    setup = {
        "depth": 4.0,
        "n_sample": 1.38,
        "n_immersion": 1.52,
        "n_coverslip": 1.53,
        "t_coverslip": 165.0,
    }
    h = psf.gibson_lanni((5, 9, 9), wavelength=0.58, aperture=1.3, pixel=0.12, step=0.7, **setup)
    k = 2 * math.pi / 0.58

    def intensity(z: float, r: float) -> float:
        def phase(rho: float) -> float:
            def path(n: float, t: float) -> float:
                return n * t * math.sqrt(1 - (1.3 * rho / n) ** 2)

            immersion = z + 1.52 * (170 / 1.5 - 165 / 1.53 + 150 / 1.515 - 4 / 1.38)
            return k * (path(1.38, 4) + path(1.53, 165) - path(1.5, 170) + path(1.52, immersion) - path(1.515, 150))

        parts = [
            quad(lambda rho, f=f: j0(k * 1.3 * r * rho) * f(phase(rho)) * rho, 0, 1, limit=400)[0]
            for f in (math.cos, math.sin)
        ]
        return parts[0] ** 2 + parts[1] ** 2

    places = [(0, 4, 4), (1, 4, 6), (2, 1, 3), (3, 8, 8), (4, 4, 0)]
    expected = [intensity((i - 2) * 0.7, 0.12 * math.hypot(row - 4, column - 4)) for i, row, column in places]
    found = [float(h[place]) for place in places]
    np.testing.assert_allclose(np.array(found) / found[0], np.array(expected) / expected[0], rtol=1e-4)


def test_microscope_of_even_size_moves_nothing():
    options = {"wavelength": 0.5, "aperture": 0.8, "pixel": 0.1, "step": 0.3, "depth": 2.0}
    odd, even = psf.gibson_lanni((5, 7, 9), **options), psf.gibson_lanni((6, 8, 9), **options)
    torch.testing.assert_close(even[:5, :7], odd)
    assert not even[5].any()
    assert not even[:, 7].any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: psf.airy(-1), "radius: expected a positive number"),
        (lambda: psf.moffat(3, 1), "beta: expected more than 1"),
        (lambda: psf.kolmogorov(float("nan")), "fwhm: expected a positive number"),
        (lambda: psf.zernike(3, {(2, 0): float("inf")}), "coefficients: expected numbers"),
        (lambda: psf.gibson_lanni((3, 3), wavelength=1, aperture=1, pixel=1, step=1), "size: expected"),
        (
            lambda: psf.gibson_lanni((3, 3, 3), wavelength=1, aperture=0, pixel=1, step=1),
            "aperture: expected",
        ),
        (
            lambda: psf.gibson_lanni((3, 3, 3), wavelength=1, aperture=1, pixel=1, step=1, depth=-1),
            "depth: expected a number of at least 0",
        ),
        (
            lambda: psf.vectorial((3, 3, 3), wavelength=520, aperture=1.2, pixel=0.1, step=0.25),
            "wavelength: 520 does not go with pixel = 0.1; all lengths are in one unit",
        ),
        (
            lambda: psf.confocal((3, 3, 3), excitation=0.488, emission=0.52, aperture=1.2, pixel=0.1, step=250),
            "excitation: 0.488 does not go with step = 250",
        ),
        (
            lambda: psf.gibson_lanni((3, 3, 3), wavelength=0.5, aperture=1.65, pixel=0.1, step=0.25),
            "aperture: 1.65 is more than the index .* n_immersion_design, 1.515",
        ),
    ],
)
def test_bad_parameters_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
