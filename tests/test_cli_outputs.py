"""No command writes over what somebody still needs, unless it is told to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from deconv.cli import main
from deconv.cli.outputs import check_outputs, write_psf
from deconv.imaging import read_image, write_image
from deconv.imaging.psf import gaussian


@pytest.fixture
def here(here) -> Path:
    picture = np.random.default_rng(0).integers(0, 256, (40, 48), np.uint8)
    for name in ("in.png", "in-psf.png", "somebodys.png"):
        write_image(name, picture)
    write_psf(Path("ours.png"), gaussian(1.0))
    write_psf(Path("ours.npy"), gaussian(1.0))
    os.link("in.png", "hard.png")
    Path("soft.png").symlink_to("in.png")
    return here


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("deblur in.png -o x.png --psf gaussian:1 --save-psf x.png", "--save-psf: x.png is what --output writes"),
        ("deblur in.png -o x.png --psf gaussian:1 --save-psf ./x.png", "--save-psf: x.png is what --output writes"),
        ("deblur in.png -o x.png --psf gaussian:1 --save-psf x.png --overwrite", "is what --output writes"),
        ("deblur in.png -o in.png --psf gaussian:1", "--output: in.png is read"),
        ("deblur in.png -o hard.png --psf gaussian:1", "--output: hard.png is read"),
        ("deblur in.png -o soft.png --psf gaussian:1", "--output: soft.png is read"),
        ("deblur in.png -o ours.png --psf ours.png", "--output: ours.png is read"),
        ("deblur in.png -o x.png --psf gaussian:1 --save-psf somebodys.png", "--save-psf: somebodys.png exists"),
        ("deblur in.png -o x.png --psf gaussian:1 --save-psf ours.npy", "--save-psf: ours.npy exists"),
        ("deblur in.png -o x.png --psf gaussian:1 --save-psf in.png --overwrite", "--save-psf: in.png is read"),
        ("deblur in.png -o in.png --psf gaussian:1 --overwrite", "--output: in.png is read"),
        ("deblur in.png -o hard.png --psf gaussian:1 --overwrite", "--output: hard.png is read"),
        ("deblur in-psf.png -o in.tif --starts 1", "--save-psf: in-psf.png is read"),
        ("deblur somebodys.png -o in.tif --starts 1", "--save-psf: in-psf.png exists"),
        ("deblur in.png -o somebodys.png --psf gaussian:1", "--output: somebodys.png exists"),
        ("blur in.png -o somebodys.png --psf gaussian:1", "--output: somebodys.png exists"),
        ("estimate-kernel in.png -o in.png", "--output: in.png is read"),
        ("estimate-kernel in.png -o somebodys.png", "--output: somebodys.png exists"),
        ("blur in.png -o in.png --psf gaussian:1", "--output: in.png is read"),
        ("blur in.png -o ours.png --psf ours.png", "--output: ours.png is read"),
    ],
)
def test_nothing_is_lost(here, capsys, command, said):
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_what_may_be_written(here, capsys):
    """A psf of ours, and what exists if we are told to."""
    for command in (
        "blur in.png -o somebodys.png --psf gaussian:1 -q --overwrite",
        "deblur in.png -o y.png --psf gaussian:1.5 --save-psf ours.png -m wiener -q",
        "deblur in.png -o x.png --psf gaussian:1 --save-psf ours.npy -m wiener -q --overwrite",
        "deblur in.png -o y.png --psf gaussian:1 --save-psf in-psf.png -m wiener -q --overwrite",
    ):
        assert main(command.split()) == 0, capsys.readouterr().err
    assert read_image("ours.png").shape == gaussian(1.5).shape


@pytest.mark.parametrize("name", ["psf.png", "psf.jpg"])
def test_a_psf_of_ours_is_known_again(tmp_path, name):
    path = tmp_path / name
    write_psf(path, gaussian(1.0))
    check_outputs({"--save-psf": path}, [], psf="--save-psf", overwrite=False)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="exists"):
        check_outputs({"--save-psf": path}, [], psf="--save-psf", overwrite=False)
