"""A restoration held against its input: right psfs pass, wrong ones show."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from deconv import blind
from deconv.blind.comparison import compare, why_not_better
from deconv.cli import main
from deconv.imaging import degrade, read_image, write_image
from deconv.imaging.psf import camera_shake, disk, motion
from deconv.imaging.srgb import to_linear, to_srgb
from deconv.restore import hyper_laplacian

SHARP = torch.from_numpy(skimage.data.camera()[60:220, 130:310] / np.float32(255))[None, None]
PSFS = {"shake": camera_shake(15, seed=2), "motion": motion(11, 30), "disk": disk(3.0)}


@pytest.mark.parametrize("name", PSFS)
def test_a_right_psf_passes(name):
    observed = degrade(SHARP, PSFS[name], noise=0.005, seed=0)
    restored = hyper_laplacian(observed, PSFS[name], sigma=0.01)
    assert why_not_better(observed, restored, PSFS[name]) is None


def test_a_wrong_psf_is_seen():
    observed = degrade(SHARP, PSFS["disk"], noise=0.005, seed=0)
    restored = hyper_laplacian(observed, PSFS["disk"], sigma=0.01)
    ripples = 0.1 * (-1) ** torch.arange(observed.shape[-1])  # which the blur takes away again
    assert "rings" in why_not_better(observed, restored + ripples, PSFS["disk"])
    assert "does not explain" in why_not_better(observed, observed + 0.1 * torch.rand_like(observed), PSFS["disk"])


def test_what_cannot_be_told_is_no_objection():
    flat = torch.full((1, 1, 40, 40), 0.5)
    assert why_not_better(flat, flat, PSFS["disk"]) is None
    assert compare(flat[..., :8, :8], flat[..., :8, :8], PSFS["disk"]) == (0.0, 0.0)


def test_deblur_warns_of_a_result_that_is_no_better():
    observed = degrade(SHARP, PSFS["disk"], noise=0.005, seed=0)
    wrong, right = (
        blind.KernelEstimate(psf, observed, 0.0, (), confidence=0.9) for psf in (camera_shake(41, seed=3), PSFS["disk"])
    )
    with pytest.warns(blind.NoImprovement, match=r"the camera .*, but the restored picture "):
        blind.deblur(observed, estimated=wrong)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blind.deblur(observed, estimated=right)


def test_the_comparison_is_made_in_the_light_that_was_blurred():
    """Where the highlights are many, what fits in light is no fit in grey values."""
    light = degrade(to_linear(SHARP), PSFS["motion"], noise=0.002, seed=0)
    restored = hyper_laplacian(light, PSFS["motion"], sigma=0.005)
    grey = to_srgb(light.clamp(0, 1)), to_srgb(restored.clamp(0, 1))
    assert why_not_better(*grey, PSFS["motion"], linear=True) == why_not_better(light, restored, PSFS["motion"])
    assert compare(*grey, PSFS["motion"])[0] > 1.2 * compare(light, restored, PSFS["motion"])[0]


def test_what_a_coder_has_changed_is_not_the_psf_s_fault(tmp_path, monkeypatch):
    """A dark photograph in JPEG: its error is many times what is seen of the noise in linear light."""
    monkeypatch.chdir(tmp_path)
    light = degrade(0.1 * SHARP.expand(-1, 3, -1, -1), PSFS["motion"])
    write_image("in.png", to_srgb(light)[0])
    Image.open("in.png").save("in.jpg", quality=60)
    right = blind.KernelEstimate(PSFS["motion"], None, 0.0, (), confidence=0.9)
    monkeypatch.setattr(blind, "estimate", lambda image, *args, **options: right)
    assert main(["deblur", "in.jpg", "-o", "out.png", "--linear"]) == 0


def test_the_command_leaves_a_picture_that_got_no_better(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_image("in.png", degrade(SHARP, PSFS["disk"], noise=0.005, seed=0)[0, 0], bits=16)
    wrong = blind.KernelEstimate(camera_shake(41, seed=3), None, 0.0, (), confidence=0.9)
    monkeypatch.setattr(blind, "estimate", lambda image, *args, **options: wrong)
    assert main(["deblur", "in.png", "-o", "out.png"]) == 3
    said = capsys.readouterr()
    assert "deconv: the restored picture " in said.err
    assert "left as it is" in said.out
    np.testing.assert_array_equal(read_image("out.png"), read_image("in.png"))
    assert not Path("out-psf.png").exists()
    assert main(["deblur", "in.png", "-o", "skipped.png", "--on-doubt", "skip"]) == 3
    assert not Path("skipped.png").exists()
