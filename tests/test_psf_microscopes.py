"""Vectorial and confocal psfs against closed forms, limits and the integrals that define them."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import j1, jv

from deconv.cli import main
from deconv.imaging import psf
from deconv.imaging.stacks import read_stack

# One medium from the source to the objective: no surface reflects, and focus is the only aberration.
MATCHED = {"n_sample": 1.515, "n_coverslip": 1.515, "n_coverslip_design": 1.515}


def test_vectorial_psf_of_a_low_aperture_is_the_scalar_one():
    options = {"wavelength": 0.5, "aperture": 0.05, "pixel": 1.2, "step": 32.0, "depth": 20.0}
    vectorial, scalar = psf.vectorial((5, 15, 15), **options), psf.gibson_lanni((5, 15, 15), **options)
    assert float((vectorial - scalar).abs().max() / scalar.max()) < 5e-4


def test_vectorial_psf_in_one_medium_is_the_integral_of_richards_and_wolf():
    """I0, I1 and I2 as in their paper, over the angle; Gibson and Lanni's terms cancel."""
    wavelength, aperture, n = 0.52, 1.4, 1.515
    h = psf.vectorial((3, 9, 9), wavelength=wavelength, aperture=aperture, pixel=0.07, step=0.3, **MATCHED).double()
    k = 2 * math.pi * n / wavelength

    def intensity(z: float, r: float) -> float:
        def integral(order: int, amplitude) -> complex:
            def term(theta: float, part) -> float:
                wave = cmath.exp(1j * k * z * math.cos(theta)) * jv(order, k * r * math.sin(theta))
                return part(wave * math.sqrt(math.cos(theta)) * math.sin(theta) * amplitude(theta))

            stop = math.asin(aperture / n)
            return complex(
                quad(term, 0, stop, (lambda wave: wave.real,))[0], quad(term, 0, stop, (lambda wave: wave.imag,))[0]
            )

        fields = (
            integral(0, lambda theta: 1 + math.cos(theta)),
            integral(1, math.sin),
            integral(2, lambda theta: 1 - math.cos(theta)),
        )
        return abs(fields[0]) ** 2 + 2 * abs(fields[1]) ** 2 + abs(fields[2]) ** 2

    places = [(1, 4, 4), (0, 4, 4), (2, 5, 6), (1, 0, 2), (0, 8, 8)]
    expected = [intensity((i - 1) * 0.3, 0.07 * math.hypot(row - 4, column - 4)) for i, row, column in places]
    found = [float(h[place] / h[places[0]]) for place in places]
    np.testing.assert_allclose(found, np.array(expected) / expected[0], rtol=1e-4, atol=1e-6)


def test_the_scalar_pupil_ends_at_the_critical_angle():
    """An aperture above the sample's index is that index: rays, which the theory is of, do not come from beyond."""
    optics = {"wavelength": 0.6, "pixel": 0.1, "step": 0.25, "depth": 0.2, "n_sample": 1.33}
    beyond = psf.gibson_lanni((5, 15, 15), aperture=1.45, **optics)
    torch.testing.assert_close(beyond, psf.gibson_lanni((5, 15, 15), aperture=1.33, **optics), rtol=1e-4, atol=1e-7)
    assert float((beyond - psf.gibson_lanni((5, 15, 15), aperture=1.2, **optics)).abs().max() / beyond.max()) > 0.1


@pytest.mark.parametrize("depth", [0.0, 0.4])
def test_vectorial_psf_beyond_the_critical_angle_counts_evanescent_light(depth):
    """Fresnel's coefficients and the phase by angles, complex in the sample: the integrand on the axis, by Simpson."""
    wavelength, aperture, ns, ng, ni = 0.6, 1.45, 1.33, 1.5, 1.515
    h = psf.vectorial((3, 1, 1), wavelength=wavelength, aperture=aperture, pixel=0.1, step=0.25, depth=depth).double()
    k = 2 * math.pi / wavelength
    theta = np.linspace(0, math.asin(aperture / ni), 100_001).astype(complex)
    ci = np.cos(theta)
    cg, cs = (np.sqrt(1 - (ni / n * np.sin(theta)) ** 2) for n in (ng, ns))
    ts = (2 * ni * ci / (ni * ci + ng * cg)) * (2 * ng * cg / (ng * cg + ns * cs))
    tp = (2 * ni * ci / (ng * ci + ni * cg)) * (2 * ng * cg / (ns * cg + ng * cs))

    def on_axis(z: float) -> float:
        # The design differs from the use by depth and focus alone: the coverslip cancels.
        thicker = z - depth * ni / ns
        wave = np.exp(1j * k * (depth * ns * cs + thicker * ni * ci))
        values = wave * np.sqrt(ci) * np.sin(theta) * (ts + tp * cs)
        return abs(np.trapezoid(values, theta.real)) ** 2

    expected = np.array([on_axis(z) for z in (-0.25, 0.0, 0.25)])
    found = h[:, 0, 0].numpy()
    np.testing.assert_allclose(found / found[1], expected / expected[1], rtol=2e-4)


OBJECTIVE = {"aperture": 1.2, "pixel": 0.08, "step": 0.25, "depth": 1.5}


@pytest.mark.parametrize("model", ["scalar", "vectorial"])
def test_confocal_psf_of_a_closed_pinhole_is_the_product_of_both(model):
    make = psf.vectorial if model == "vectorial" else psf.gibson_lanni
    h = psf.confocal((5, 15, 15), excitation=0.49, emission=0.53, pinhole=0.01, model=model, **OBJECTIVE)
    product = make((5, 15, 15), wavelength=0.49, **OBJECTIVE) * make((5, 15, 15), wavelength=0.53, **OBJECTIVE)
    product = product / product.sum()
    assert float((h - product).abs().max() / product.max()) < 1e-3


def test_confocal_psf_of_an_open_pinhole_is_the_excitation():
    """Every slice holds the same light of the emission, which all comes through."""
    h = psf.confocal((3, 15, 15), excitation=0.49, emission=0.53, pinhole=40, model="scalar", **OBJECTIVE)
    excitation = psf.gibson_lanni((3, 15, 15), wavelength=0.49, **OBJECTIVE)
    assert float((h - excitation).abs().max() / excitation.max()) < 0.01


def test_confocal_psf_integrates_the_emission_over_the_pinhole():
    pinhole, emission = 1.3, 0.53
    h = psf.confocal((3, 9, 9), excitation=0.49, emission=emission, pinhole=pinhole, **OBJECTIVE).double()
    excitation = psf.vectorial((3, 9, 9), wavelength=0.49, **OBJECTIVE).double()
    # Sums over the points of a fine grid that lie in the pinhole.
    fine = 8
    detection = psf.vectorial(
        (3, 209, 209), wavelength=emission, **{**OBJECTIVE, "pixel": OBJECTIVE["pixel"] / fine}
    ).double()
    radius = pinhole * 0.61 * emission / OBJECTIVE["aperture"] / OBJECTIVE["pixel"] * fine
    row = torch.arange(209) - 104

    def through(i: int, y: int, x: int) -> torch.Tensor:
        inside = (row[:, None] - y * fine) ** 2 + (row - x * fine) ** 2 <= radius**2
        return detection[i][inside].sum()

    places = [(1, 0, 0), (0, 0, 0), (2, 1, 2), (1, 3, 0), (0, 4, 3)]
    expected = [float(excitation[i, 4 + y, 4 + x] * through(i, y, x)) for i, y, x in places]
    found = [float(h[i, 4 + y, 4 + x]) for i, y, x in places]
    np.testing.assert_allclose(np.array(found) / found[0], np.array(expected) / expected[0], rtol=0.01, atol=1e-3)


def test_a_point_pinhole_narrows_the_lateral_width_as_the_square_of_the_airy_pattern():
    h = psf.confocal(
        (1, 1, 81),
        excitation=0.5,
        emission=0.5,
        pinhole=0.01,
        model="scalar",
        aperture=0.5,
        pixel=0.02,
        step=1,
        **MATCHED,
    )
    v = 2 * math.pi / 0.5 * 0.5 * 0.02 * np.arange(1, 41)
    np.testing.assert_allclose(h[0, 0, 41:] / h[0, 0, 40], (2 * j1(v) / v) ** 4, atol=2e-3)


@pytest.mark.parametrize("make", [psf.vectorial, psf.confocal])
def test_slices_run_from_the_deepest_or_from_the_coverslip(make):
    light = {"wavelength": 0.5} if make is psf.vectorial else {"excitation": 0.49, "emission": 0.53}
    stage, sample = (make((7, 5, 5), z=z, **light, **OBJECTIVE) for z in ("stage", "sample"))
    torch.testing.assert_close(stage, sample.flip(0))
    assert not torch.allclose(stage, sample)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pinhole": 0}, "pinhole: expected a positive number"),
        ({"pinhole": 51}, "pinhole: expected at most 50 Airy units, given 51"),
        ({"model": "airy"}, "model: unknown 'airy', allowed are vectorial, scalar"),
        ({"emission": float("nan")}, "emission: expected a positive number"),
        ({"z": "up"}, "z: unknown 'up'"),
        ({"depth": -1}, "depth: expected a number of at least 0"),
    ],
)
def test_bad_parameters_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        psf.confocal((3, 3, 3), **{"excitation": 0.49, "emission": 0.53, **OBJECTIVE, **options})


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            ["confocal", "--excitation", "488nm", "--emission", "520nm", "--pinhole", "0.8"],
            lambda size, **optics: psf.confocal(size, excitation=0.488, emission=0.52, pinhole=0.8, **optics),
        ),
        (["vectorial", "--wavelength", "520nm"], lambda size, **optics: psf.vectorial(size, wavelength=0.52, **optics)),
    ],
)
def test_the_command_makes_them(tmp_path, capsys, command, expected):
    out = tmp_path / "psf.tif"
    optics = ["--na", "1.2", "--pixel", "80nm", "--step", "0.25um", "--depth", "1.5um", "--size", "5x9x9"]
    assert main(["psf", *command, *optics, "--n-immersion", "1.33", "-o", str(out)]) == 0
    assert "5 x 9 x 9; sum 1" in capsys.readouterr().out
    h = expected((5, 9, 9), n_immersion=1.33, n_immersion_design=1.33, **OBJECTIVE)
    np.testing.assert_allclose(read_stack(out), h, atol=1e-7)
