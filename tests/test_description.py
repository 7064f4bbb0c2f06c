"""Psfs in words, streaks as psfs, and what ``deconv diagnose`` says."""

from __future__ import annotations

import json

import imageio.v3 as imageio
import numpy as np
import pytest
import skimage.data

import deconv
from deconv.blind.description import describe
from deconv.blind.metrics import kernel_similarity
from deconv.cli import main
from deconv.imaging import read_image, write_image
from deconv.imaging.psf import camera_shake, disk, from_file, gaussian, motion
from deconv.imaging.sharpness import blur_effect


@pytest.mark.parametrize(("length", "angle"), [(9, 0), (17, 30), (25, 135), (12, 90)])
def test_straight_motion_is_told(length, angle):
    found = describe(motion(length, angle))
    assert found.kind == "motion"
    assert found.extent == pytest.approx(length, abs=1.5)
    assert abs((found.angle - angle + 90) % 180 - 90) < 3
    assert f"{found.extent:.0f} pixels" in found.words


@pytest.mark.parametrize("radius", [2.5, 4.0, 9.0])
def test_focus_is_told(radius):
    found = describe(disk(radius))
    assert found.kind == "focus"
    assert found.extent / 2 == pytest.approx(radius, abs=0.3)
    assert found.spec == f"disk:{found.extent / 2:.1f}"


def test_shake_and_no_blur_are_told():
    assert {describe(camera_shake(25, seed=seed)).kind for seed in range(6)} <= {"shake", "motion"}
    assert describe(camera_shake(25, seed=3)).kind == "shake"
    assert describe(gaussian(0.3)).kind == "none"
    assert describe(gaussian(0.3)).spec is None


def test_blur_effect_grows_with_blur():
    sharp = skimage.data.camera()[100:300, 100:300]
    values = [blur_effect(sharp), *(blur_effect(deconv.degrade(sharp, gaussian(s))) for s in (1.0, 2.0, 4.0))]
    assert values == sorted(values)
    assert 0 < values[0] < values[-1] < 1
    assert blur_effect(np.full((20, 20), 0.5)) == 1.0


@pytest.fixture
def night(tmp_path, monkeypatch) -> np.ndarray:
    """A street with one point of light, shaken, as numbers of 16 bits."""
    monkeypatch.chdir(tmp_path)
    street = 0.2 * skimage.data.camera()[100:260, 100:280] / 255
    street[30:60, 30:60] = 0.05
    street[45, 45] = 20.0
    write_image("in.png", deconv.degrade(street, motion(11, 30), noise=0.001, seed=0), bits=16)
    return street


def test_a_streak_gives_the_psf(night, capsys):
    corner = [(n - 1) // 2 for n in motion(11, 30).shape]
    box = f"{30 - corner[1] + 2},{30 - corner[0] + 2},26,26"
    deblur = ["deblur", "in.png", "-o", "out.png", "--psf-from", box, "--save-psf", "psf.npy", "-m", "wiener"]
    assert main(deblur) == 0, capsys.readouterr().err
    assert "from the streak at" in capsys.readouterr().out
    assert kernel_similarity(from_file("psf.npy")[0], motion(11, 30)) > 0.95


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "0,0,2,9", "170,0,20,20", "100,100,12,12"])
def test_a_streak_that_will_not_do(night, capsys, box):
    assert main(["deblur", "in.png", "-o", "out.png", "--psf-from", box]) == 2
    assert "--psf-from" in capsys.readouterr().err


def test_strength_and_noise_alone(night, capsys):
    flat = []
    for more in (["--strength", "0.3"], [], ["--strength", "5"]):
        assert main(["deblur", "in.png", "-o", "out.png", "-p", "motion:11,30", "-q", "--overwrite", *more]) == 0
        flat.append(np.abs(np.diff(read_image("out.png")[100:].astype(float))).mean())
    assert flat == sorted(flat, reverse=True)
    assert main(["deblur", "in.png", "-o", "out.png", "--denoise-only", "--overwrite"]) == 0
    assert "only noise is taken away" in capsys.readouterr().out
    assert np.abs(read_image("out.png") / 65535 - read_image("in.png") / 65535).max() < 0.05
    for more in (["--strength", "0"], ["--denoise-only", "-p", "disk:2"], ["--denoise-only", "-k", "9"]):
        assert main(["deblur", "in.png", "-o", "out.png", "--overwrite", *more]) == 2


def test_diagnosis_in_words_and_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sharp = skimage.data.camera()[100:260, 100:260]
    write_image("flat.jpg", np.full((64, 80), 255, np.uint8))
    assert main(["diagnose", "flat.jpg", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["blur"] is None
    assert facts["white"] == 1
    assert facts["jpeg_quality"] == pytest.approx(95, abs=2)
    assert "one colour" in facts["found"]
    imageio.imwrite("flat.bmp", np.full((64, 80), 255, np.uint8))
    assert main(["diagnose", "flat.bmp", "--json"]) == 0
    assert "flat.bmp -o sharp.png" in json.loads(capsys.readouterr().out)["advice"]  # BMP is not written
    write_image("in.png", deconv.degrade(sharp, motion(9, 0), noise=0.003, seed=0))
    assert main(["diagnose", "in.png", "-k", "15", "--starts", "1"]) == 0
    said = capsys.readouterr().out
    assert {line.split()[0] for line in said.splitlines()} >= {"picture", "noise", "found", "advice"}
    assert len(said.splitlines()) < 24


def test_the_help_lists_every_psf(capsys):
    main(["deblur", "--help"])
    said = capsys.readouterr().out
    for name in deconv.imaging.psf.spec.MAKERS:
        assert f"{name}:" in said
