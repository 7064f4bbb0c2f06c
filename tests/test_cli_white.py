"""Pictures of floats in any unit: what white is is told, never guessed, and no picture comes out all white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data

import deconv
from deconv.cli import main
from deconv.imaging import read_image

COUNTS = 4095
DEBLUR = ("deblur", "counts.npy", "--psf", "motion:5,30", "-m", "wiener", "-q", "-o")


@pytest.fixture
def blurred(here) -> np.ndarray:
    sharp = skimage.data.camera()[100:180, 180:280] / 255
    blurred = deconv.degrade(sharp, deconv.imaging.psf.motion(5, 30), noise=0.01, seed=0)
    np.save("counts.npy", COUNTS * blurred)
    np.save("shares.npy", blurred)
    return blurred


def test_no_picture_comes_out_all_white(blurred, capsys):
    assert main([*DEBLUR, "out.png"]) == 2
    error = capsys.readouterr().err
    assert "counts.npy is above 1 and would come out white" in error
    assert "--white" in error
    assert not Path("out.png").exists()


def test_white_is_white_in_a_picture_and_itself_among_floats(blurred, capsys):
    expected = deconv.wiener(blurred, deconv.imaging.psf.motion(5, 30))
    for name, unit in (("out.png", 255), ("out.npy", COUNTS)):
        assert main([*DEBLUR, name, "--white", str(COUNTS)]) == 0, capsys.readouterr().err
        assert np.abs(read_image(name) / unit - expected.clip(0, 1 if unit == 255 else None)).mean() < 0.005


def test_the_noise_is_a_share_of_white(blurred, capsys):
    said = []
    for arguments in (("shares.npy",), ("counts.npy", "--white", str(COUNTS))):
        assert main(["deblur", *arguments, "-o", "out.npy", "--overwrite", "--psf", "motion:5,30", "-m", "wiener"]) == 0
        said.append(next(part for part in capsys.readouterr().out.split(";") if "noise" in part))
    assert said[0] == said[1]


def test_a_picture_of_counts_is_blurred_in_its_unit(blurred):
    assert main(["blur", "counts.npy", "-o", "out.npy", "--psf", "gaussian:1", "--white", str(COUNTS), "-q"]) == 0
    assert read_image("out.npy").mean() == pytest.approx(COUNTS * blurred.mean(), rel=0.05)


@pytest.mark.parametrize(
    ("name", "white", "said"),
    [("shares.npy", "0", "--white: expected a positive"), ("eight.png", "200", "--white: is")],
)
def test_a_white_that_will_not_do(blurred, capsys, name, white, said):
    deconv.imaging.write_image("eight.png", blurred, bits=8)
    assert main(["deblur", name, "-o", "out.npy", "--overwrite", "--psf", "gaussian:1", "--white", white]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--tiles", "64")])
def test_overexposed_counts_are_restored(blurred, more, capsys):
    """Not all zero for being above 1, and as the same picture in shares of white is."""
    overexposed = (1.5 * blurred).clip(0, 1)
    np.save("counts.npy", COUNTS * overexposed)
    np.save("shares.npy", overexposed)
    results = []
    for name, unit in (("counts.npy", COUNTS), ("shares.npy", 1)):
        how = ("--psf", "motion:5,30", "--clipped", "-m", "hyper_laplacian", "-q", *more)
        assert main(["deblur", name, "-o", "out.npy", "--overwrite", *how]) == 0, capsys.readouterr().err
        results.append(read_image("out.npy") / unit)
    assert results[1].std() > 0.1
    assert np.abs(results[0] - results[1]).mean() < 1e-3


def test_noise_beyond_white_is_asked_back(blurred, capsys):
    """Where white is known; the unit of floats is their own."""
    deconv.imaging.write_image("in.png", blurred, bits=8)
    for command in (["deblur", "in.png", "--psf", "motion:5,30", "-m", "wiener"], ["estimate-kernel", "in.png"]):
        assert main([*command, "-o", "out.png", "--sigma", "5"]) == 2
        assert "--sigma: 5 is 500% of white; write 5% for 5 %" in capsys.readouterr().err
    assert main([*DEBLUR, "out.npy", "--sigma", "40"]) == 0
