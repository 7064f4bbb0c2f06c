"""Straight motion and defocus from the power spectrum: the numbers that were put in, and none for sharp photographs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import skimage.data
import torch

from deconv.blind import api, estimate, kernel_similarity, shapes
from deconv.blind.description import describe
from deconv.blind.reject import THRESHOLDS
from deconv.blind.shapes import Shape, Spectrum, find_shapes
from deconv.cli import main
from deconv.imaging import degrade, write_image
from deconv.imaging.convolution import psf_to_otf
from deconv.imaging.psf import camera_shake, disk, motion

SHARP = torch.from_numpy(skimage.data.camera()[60:236, 130:330] / np.float32(255))[None, None]
WINDOW = (25, 25)


def blurred(psf: torch.Tensor) -> torch.Tensor:
    return degrade(SHARP, psf, noise=0.01, seed=0)


@pytest.fixture(scope="module")
def unfocused() -> torch.Tensor:
    return blurred(disk(4.3))


@pytest.mark.parametrize(("length", "angle"), [(11.0, 30.0), (17.4, 118.0)])
def test_length_and_angle_are_found(length, angle):
    gain, shape = max(
        find_shapes(blurred(motion(length, angle)), ("motion", "focus"), WINDOW), key=lambda seen: seen[0]
    )
    assert gain > THRESHOLDS.gain
    assert shape.kind == "motion"
    assert shape.size == pytest.approx(length, rel=0.05)
    assert abs((shape.angle - angle + 90) % 180 - 90) < 4


@pytest.mark.parametrize("radius", [2.5, 6.1])
def test_the_radius_is_found(radius):
    gain, shape = max(find_shapes(blurred(disk(radius)), ("motion", "focus"), WINDOW), key=lambda seen: seen[0])
    assert gain > THRESHOLDS.gain
    assert shape.kind == "focus"
    assert shape.size == pytest.approx(radius, rel=0.05)


@pytest.mark.parametrize("psf", [torch.ones(1, 1), camera_shake(21, seed=2)], ids=["sharp", "shaken"])
def test_what_is_neither_is_not_taken_for_it(psf):
    for kind in ("motion", "focus"):
        assert not estimate(blurred(psf)[0, 0], model=kind).found


def test_noise_that_blurs_a_path_leaves_them_to_be_seen():
    """What the path found is like is taken in place of it."""
    noisy = degrade(SHARP, motion(17.4, 118.0), noise=0.06, seed=0)[0, 0]
    for model in ("motion", "auto"):
        assert kernel_similarity(estimate(noisy, model=model).psf, motion(17.4, 118.0)) > 0.95


@pytest.mark.parametrize("picture", ["noise", "edge", "slope"])
def test_neither_is_seen_where_there_is_nothing_to_see(picture):
    """A straight edge looks the same after motion along it, and white noise as what the widest disk lets pass."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 128), torch.linspace(0, 1, 128), indexing="ij")
    latent = {
        "noise": torch.zeros(()),
        "edge": 0.5 * (columns + 0.6 * rows > 0.8),
        "slope": columns,
    }[picture]
    noise = 0.02 * torch.randn(128, 128, generator=torch.Generator().manual_seed(0))
    assert not estimate(latent + noise).found


@pytest.mark.parametrize("shape", [Shape("motion", 9.0, 0.0), Shape("focus", 4.0)])
def test_the_transfer_is_that_of_the_psf(shape):
    """But for the pixels, over which a disk is integrated."""
    spectrum = Spectrum(SHARP[..., :64, :64])
    grid = torch.stack([spectrum.rows, spectrum.columns]) * 64
    rows, columns = grid.round().long()
    otf = psf_to_otf(shape.psf(), (64, 64)).abs().square()[rows, columns]
    pixel = (torch.sinc(spectrum.rows) * torch.sinc(spectrum.columns)).square() if shape.kind == "focus" else 1.0
    torch.testing.assert_close(spectrum.transfer(shape) * pixel, otf, atol=0.01, rtol=0)


def test_where_no_shake_is_found_they_are_tried(unfocused, monkeypatch):
    monkeypatch.setattr(api, "why_rejected", lambda best, none: "no shake")
    monkeypatch.setattr(api, "simpler", lambda *free, cut: None)
    for name, fewer in (("pyramid._ITERATIONS", 1), ("polish._CUTS", ())):  # whatever is found is not taken
        monkeypatch.setattr(f"deconv.blind.{name}", fewer)
    found = estimate(unfocused, 15, starts=1)
    assert found.found
    assert found.psf.shape == (15, 15)
    assert describe(found.psf).kind == "focus"
    assert kernel_similarity(found.psf, disk(4.3)) > 0.97
    assert found.confidence > 0.5
    assert estimate(unfocused, 15, starts=1, model="shake").warnings == ("no shake",)


def test_models_are_refused_by_name(unfocused, tmp_path, monkeypatch, capsys):
    with pytest.raises(ValueError, match="model: unknown 'line', allowed are auto, shake, motion, focus"):
        estimate(unfocused, model="line")
    monkeypatch.chdir(tmp_path)
    write_image("in.png", unfocused[0, 0].clamp(0, 1), bits=8)
    assert main(["diagnose", "in.png", "--model", "line"]) == 2
    assert "--model: unknown 'line'" in capsys.readouterr().err


def test_the_commands_name_what_they_find(unfocused, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_image("in.png", unfocused[0, 0].clamp(0, 1), bits=8)
    assert main(["diagnose", "in.png", "--model", "focus", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["blur"] == "focus"
    assert facts["extent"] == pytest.approx(8.6, abs=0.4)
    assert main(["deblur", "in.png", "-o", "out.png", "--model", "focus", "--method", "wiener"]) == 0
    assert "out of focus by a disk of radius 4." in capsys.readouterr().out


def test_a_third_of_a_length_is_not_taken_for_it(monkeypatch):
    """They share zeros, and the wrong one may be the nearest to a grid."""
    monkeypatch.setattr(shapes, "_grid", lambda kind, window: [Shape("motion", 16.4 / 3, 23.0)])
    ((gain, shape),) = find_shapes(blurred(motion(16.4, 23)), ("motion",), WINDOW)
    assert gain > THRESHOLDS.gain
    assert shape.size == pytest.approx(16.4, rel=0.02)
    assert shape.angle == pytest.approx(23, abs=2)
