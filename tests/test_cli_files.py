"""The command and the files it is given: what they say is kept, what they do not say is not guessed."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from deconv.cli import main
from deconv.imaging import psf

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def pictures(here):
    Image.fromarray(RNG.integers(0, 256, (40, 50), np.uint8)).save("photo.png", dpi=(300, 300))
    np.save("psf3.npy", np.full((3, 3, 3), 1 / 27))


def blur(capsys, *arguments: str) -> tuple[int, str]:
    status = main(["blur", *arguments])
    return status, capsys.readouterr().err


def test_the_limit_of_pixels_is_an_option(capsys):
    arguments = ("photo.png", "-o", "out.png", "--psf", "box:3", "-q")
    status, said = blur(capsys, *arguments, "--max-pixels", "1999")
    assert (status, said.count("\n")) == (2, 1)
    assert "photo.png: it declares 40 x 50 pixels, more than the 1999 that are read; --max-pixels 2000 lifts" in said
    assert blur(capsys, *arguments, "--max-pixels", "2000") == (0, "")


def test_a_psf_of_three_axes_for_a_picture_is_named(capsys):
    status, said = blur(capsys, "photo.png", "-o", "out.tif", "--psf", "psf3.npy")
    assert status == 2
    assert "photo.png: a PNG file holds no volume" in said
    assert "a volume is needed for psf psf3.npy (3 x 3 x 3), which has three axes" in said


@pytest.mark.parametrize("spec", ["gaussian:2000", "gaussian:1e9", "disk:1e8", "box:1e9", "airy:1e7"])
def test_an_oversized_psf_is_refused_before_it_is_made(capsys, spec):
    status, said = blur(capsys, "photo.png", "-o", "out.png", "--psf", spec)
    assert (status, said.count("\n")) == (2, 1)
    assert f"psf: '{spec}': size: " in said
    assert "more than the 16777216 values that a psf may have" in said


def test_the_resolution_of_a_scan_is_kept(capsys):
    assert blur(capsys, "photo.png", "-o", "out.png", "--psf", "box:3", "-q") == (0, "")
    with Image.open("out.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_the_voxel_size_of_a_stack_is_kept(capsys):
    volume = RNG.integers(0, 4000, (6, 20, 22), np.uint16)
    tifffile.imwrite("v.tif", volume, imagej=True, resolution=(10, 10), metadata={"axes": "ZYX", "spacing": 0.3})
    assert blur(capsys, "v.tif", "-o", "out.tif", "--psf", "psf3.npy", "-q") == (0, "")
    with tifffile.TiffFile("out.tif") as file:
        assert file.imagej_metadata["spacing"] == 0.3
        assert file.pages.first.resolution == (10, 10)
        assert file.series[0].axes == "ZYX"


def test_the_background_of_a_psf_is_said(capsys):
    counts = RNG.poisson(psf.gaussian(1.5, 25).numpy() * 15_000 + 100).astype(np.uint16)
    tifffile.imwrite("bead.tif", counts)
    status = main(["blur", "photo.png", "-o", "out.png", "--psf", "bead.tif"])
    assert status == 0
    assert "of its sum, subtracted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"extrasamples": ["unspecified"]}, "it has 4 samples a pixel and does not say that the last is opacity"),
        ({"extrasamples": ["unassalpha"]}, ""),
    ],
)
def test_opacity_is_what_the_file_calls_so(capsys, options, words):
    tifffile.imwrite("a.tif", RNG.integers(0, 256, (20, 22, 4), np.uint8), photometric="rgb", **options)
    status, said = blur(capsys, "a.tif", "-o", "out.tif", "--psf", "box:3", "-q")
    assert status == (2 if words else 0)
    assert words in said


def test_files_cut_short_are_no_pictures(here, capsys):
    Image.fromarray(RNG.integers(0, 256, (40, 50), np.uint8)).save("whole.tif", compression="tiff_lzw")
    data = (here / "whole.tif").read_bytes()
    (here / "cut.tif").write_bytes(data[: len(data) // 2])
    tifffile.imwrite("stack.tif", RNG.integers(0, 256, (6, 40, 50), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    data = (here / "stack.tif").read_bytes()
    (here / "shorter.tif").write_bytes(data[: len(data) * 6 // 10])
    for name in ("cut.tif", "shorter.tif"):
        status, said = blur(capsys, name, "-o", "out.tif", "--psf", "gaussian:1")
        assert (status, said) == (2, f"deconv: {name}: the file is damaged: it is cut short\n")


def test_what_is_lost_to_white_is_said(capsys):
    points = np.zeros((40, 50), np.float32)
    points[5::10, 5::10] = 9
    np.save("points.npy", points)
    for name, words in (("out.png", "% clipped at white"), ("out.tif", "")):
        assert main(["blur", "points.npy", "-o", name, "--psf", "gaussian:0.5"]) == 0
        said = capsys.readouterr().out
        assert words in said
        assert ("of the light, which .tif with --bits 32 keeps; " in said) == bool(words)
