"""``deconv deblur --posterior``: what it writes, and what it does not go with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from restorations import observation

from deconv.blind import comparison
from deconv.blind.picture_frame import PictureFrame
from deconv.cli import deblur as cli_deblur
from deconv.cli import main
from deconv.cli.blurs import Blur
from deconv.cli.posterior import write_posterior
from deconv.imaging import read_image, write_image
from deconv.imaging.psf import motion
from deconv.restore import Posterior

QUICK = "--psf motion:5,30 --prior gmm --iterations 2 --posterior 2 --boundary circular"


@pytest.fixture
def here(here):
    write_image("in.png", observation()[:24, :32].clip(0, 1), bits=8)
    return here


def test_mean_deviation_and_samples_are_written(here, capsys):
    assert main(f"deblur in.png -o out.tif --bits 32 {QUICK}".split()) == 0
    line = capsys.readouterr().out + capsys.readouterr().err
    assert {path.name for path in here.iterdir()} == {
        "in.png",
        "out.tif",
        "out-deviation.png",
        "out-deviation.tif",
        "out-samples.png",
    }
    mean, numbers = read_image("out.tif"), read_image("out-deviation.tif")
    heat, strip = read_image("out-deviation.png"), read_image("out-samples.png")
    assert mean.shape == numbers.shape == heat.shape[:2] == (24, 32)
    assert strip.shape == (24, 2 * 32 + 4)
    both = np.stack([strip[:, :32], strip[:, 36:]]) / 255
    told = ((both > 0) & (both < 1)).all(0)  # the strip is clipped, the floats are not
    np.testing.assert_allclose(both.mean(0)[told], mean[told], atol=0.01)
    np.testing.assert_allclose(both.std(0, ddof=1)[told], numbers[told], atol=0.01)
    # The hotter, the larger.
    order = np.argsort(numbers.ravel())
    assert heat.astype(int).sum(-1).ravel()[order[-20:]].min() > heat.astype(int).sum(-1).ravel()[order[:20]].max()
    assert "mean of 2 draws" in line


def test_a_frame_is_around_the_draws_as_it_was(here, monkeypatch):
    """What is inside is drawn as without the frame, and nothing of the frame deviates."""
    frame = PictureFrame(4, 2, 3, 5)
    pixels = np.pad(read_image("in.png"), ((4, 2), (3, 5)), constant_values=255)
    write_image("framed.png", pixels, bits=8)
    monkeypatch.setattr(comparison, "why_not_better", lambda *_, **__: None)
    for name in ("in", "framed"):
        blur = Blur(motion(5, 30), "estimated", frame=frame if name == "framed" else None)
        monkeypatch.setattr(cli_deblur, "estimate_blur", lambda *_, blur=blur: (blur, 1.0, False))
        command = f"deblur {name}.png -o {name}-out.tif --bits 32 {QUICK}".replace("--psf motion:5,30 ", "")
        assert main(command.split()) == 0
    inside = (slice(4, -2), slice(3, -5))
    mean, deviation = read_image("framed-out.tif"), read_image("framed-out-deviation.tif")
    np.testing.assert_array_equal(mean[inside], read_image("in-out.tif"))
    np.testing.assert_array_equal(deviation[inside], read_image("in-out-deviation.tif"))
    mean[inside], deviation[inside] = 1, 0
    assert (mean == 1).all()
    assert (deviation == 0).all()
    assert read_image("framed-out-samples.png").shape == (30, 2 * 40 + 4)


def test_the_line_says_how_far_chains_agree(tmp_path):
    image = torch.rand(1, 1, 8, 8)
    drawn = Posterior([image] * 4, image, torch.rand(1, 1, 8, 8), r_hat=1.25, effective_samples=3.4, acceptance=0.65)
    words = write_posterior({name: tmp_path / f"{name}.png" for name in ("deviation", "samples")}, drawn)
    assert words[1:] == ["R-hat 1.25, worth 3 independent draws", "65% of the trajectories accepted"]


def test_pictures_of_integers_get_no_numbers(here):
    assert main(f"deblur in.png -o out.png --quiet {QUICK}".split()) == 0
    assert not (here / "out-deviation.tif").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--posterior 1", "--posterior: expected at least 2 draws, given 1"),
        ("--posterior 4 --method wiener", "--posterior: is a method of its own"),
        ("--posterior 4 --method auto", "--posterior: is a method of its own"),
        ("--posterior 4 --tiles 64", "--tiles: does not go with --posterior"),
        ("--posterior 4 --preview", "--preview: does not go with --posterior"),
        ("--metropolis 4", "--metropolis: is for draws, and --posterior is not given"),
        ("--posterior 4 --stop consensus", "--stop: flow does not take it"),
    ],
)
def test_what_does_not_go_with_it_is_refused(here, capsys, options, said):
    assert main(f"deblur in.png -o out.png --psf gaussian:1 {options}".split()) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["in.png"]


def test_files_beside_are_not_written_over(here, capsys):
    write_image("out-samples.png", np.zeros((8, 8), np.uint8))
    assert main(f"deblur in.png -o out.png {QUICK}".split()) == 2
    assert "--posterior, samples: out-samples.png exists" in capsys.readouterr().err
