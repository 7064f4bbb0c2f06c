"""The command on psfs that vary over the frame: found, kept, and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deconv import blind, restore
from deconv.bench.blind_cases import synthetic
from deconv.blind import BlurField, KernelEstimate
from deconv.cli import main
from deconv.cli.psf_fields import field_option, montage, read_field
from deconv.imaging import read_image, write_image
from deconv.imaging.psf import motion


@pytest.fixture
def field(tmp_path, monkeypatch):
    """A picture of 64 x 64 pixels, whose blur is said to vary over a grid of 2 x 3."""
    monkeypatch.chdir(tmp_path)
    case = next(synthetic(noise=0.005, side=160))
    write_image("blurred.png", case.blurred[:64, :64], bits=16)
    psfs = torch.stack([motion(5, 12 * i, 9) for i in range(6)]).reshape(2, 3, 9, 9)
    one = KernelEstimate(psfs[0, 0], None, 0.0, (), confidence=1.0)
    monkeypatch.setattr(blind, "estimate", lambda image, *window, **options: one)
    monkeypatch.setattr(blind, "estimate_varying", lambda image, **given: BlurField(psfs, given["estimated"], 0.1, 1.5))
    return psfs


def test_a_field_is_found_kept_as_numbers_and_read_back(field, capsys):
    deblur = ["deblur", "blurred.png", "--no-linear", "--sigma", "1%"]
    assert main([*deblur, "-o", "out.png", "--field", "auto", "--save-psf", "field.npy"]) == 0
    said = capsys.readouterr().out
    assert "psf estimated (9 x 9), the blur varies over the frame, from 5 to 5 pixels, as the camera turned" in said
    assert "turned by 1.5 degrees (grid 2 x 3) -> field.npy" in said
    assert np.load("field.npy") == pytest.approx(field.numpy())
    assert main([*deblur, "-o", "again.png", "--psf", "field.npy"]) == 0
    assert "psf field.npy (2 x 3 of 9 x 9)" in capsys.readouterr().out
    seen, out, again = (torch.from_numpy(read_image(f"{name}.png") / 65535) for name in ("blurred", "out", "again"))
    assert float((out - again).abs().max()) < 1e-2
    solved = restore.hyper_laplacian(seen.float(), psf_field=field, sigma=0.01, white=1.0)
    assert float((out - solved.clamp(0, 1)).abs().max()) < 1e-3


def test_a_field_is_shown_as_a_picture_which_is_no_psf(field, capsys):
    deblur = ["deblur", "blurred.png", "-o", "out.png", "--no-linear"]
    assert main([*deblur, "--field", "auto"]) == 0
    shown = torch.from_numpy(read_image("out-psf.png").astype(np.float32))
    assert shown.shape == (2 * 11 + 2, 3 * 11 + 2)
    assert torch.allclose(shown / shown.max(), montage(field) / field.max(), atol=1e-3)
    capsys.readouterr()
    assert main(["deblur", "blurred.png", "-o", "other.png", "--psf", "out-psf.png"]) == 2
    assert "--psf: out-psf.png is a picture of psfs from all over a frame" in capsys.readouterr().err
    Path("out.png").unlink()
    assert main([*deblur, "--field", "auto"]) == 0  # over the picture of psfs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--field", "some"], "--field: expected auto, or a grid of tiles such as 3x4, given 'some'"),
        (["--field", "auto", "--psf", "disk:3"], "--field: is for psfs to be estimated, and --psf is given"),
        (["--field", "auto", "-m", "recursive"], "--field: recursive takes one psf for all of the frame"),
        (["--psf", "field.npy", "-m", "recursive"], "--psf: recursive takes one psf for all of the frame"),
        (["--psf", "negative.npy"], "negative.npy: expected psfs (gy, gx, kh, kw), finite, not negative"),
    ],
)
def test_what_does_not_go_with_a_field(field, capsys, options, words):
    np.save("field.npy", field.numpy())
    np.save("negative.npy", -field.numpy())
    assert main(["deblur", "blurred.png", "-o", "out.png", *options]) == 2
    assert words in capsys.readouterr().err


def test_a_grid_and_a_file_of_other_axes(tmp_path):
    assert field_option("3x4", "--field") == (3, 4)
    np.save(tmp_path / "psf.npy", np.ones((3, 3)))
    assert read_field(tmp_path / "psf.npy") is None
