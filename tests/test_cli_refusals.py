"""What will not do: one line on standard error, exit status 2, and files as they were."""

from __future__ import annotations

import os

import numpy as np
import pytest
import skimage.data
import tifffile

from deconv.cli import main, methods
from deconv.imaging import read_image, write_image


@pytest.fixture(autouse=True)
def sharp(here):
    image = skimage.data.astronaut()[40:168, 150:300]
    write_image("sharp.png", image)
    return image


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("deblur missing.png -o out.png --psf disk:3", "missing.png: No such file or directory"),
        ("deblur . -o out.png --psf disk:3", "out.png is the name of one picture, and there are several"),
        ("deblur text.png -o out.png --psf disk:3", "text.png: it is not an image"),
        ("deblur nan.tif -o out.tif --psf disk:3", "nan.tif: image: 1 of its 400 values are NaN or infinite"),
        (
            "deblur sharp.png -o out.png --psf disk:80",
            "psf: 161 x 161 is larger than the image, 128 x 150, of sharp.png",
        ),
        ("deblur sharp.png -o out.png --psf box:1x151", "psf: 1 x 151 is larger than the image"),
        (
            "deblur sharp.png -o out.png --psf blob:3",
            "psf: unknown 'blob:3', allowed are gaussian:sigma[,size];",
        ),
        ("deblur sharp.png -o out.png --psf disk", "psf: 'disk' does not read as disk:radius[,size]"),
        ("deblur sharp.png -o out.png --psf k.npy", "k.npy: No such file or directory"),
        ("deblur sharp.png -o out.png --psf text.png", "text.png: it is not an image"),
        (
            "deblur sharp.png -o out.tif --psf volume.npy",
            "sharp.png: a PNG file holds no volume",
        ),
        (
            "deblur volume.npy -o out.png --psf disk:1",
            "expected one grey or colour image; of a stack --channel-axis says",
        ),
        (
            "deblur volume.npy -o out.png --psf volume.npy -q",
            "out.png: kind of file '.png', allowed here are .tif, .tiff, .npy",
        ),
        (
            "deblur sharp.png -o out.doc --psf disk:3",
            "out.doc: kind of file '.doc', allowed here are .png",
        ),
        ("deblur sharp.png -o no/out.png --psf disk:3", "no does not exist"),
        (
            "deblur sharp.png -o out.png --psf disk:3 --method magic",
            "--method: unknown 'magic', allowed are auto, wiener",
        ),
        ("deblur sharp.png -o out.png --psf disk:3 --budget 5", "--budget: is for --method auto"),
        ("deblur sharp.png -o out.png --psf disk:3 -m auto --budget 0", "--budget: expected a positive number"),
        ("deblur sharp.png -o out.png --psf disk:3 --sigma lots", "--sigma: 'lots' is not a number"),
        (
            "deblur sharp.png -o out.png --psf disk:3 --sigma -1%",
            "--sigma: expected a finite number of at least 0",
        ),
        ("deblur sharp.png -o out.png --psf disk:3 --boundary odd", "boundary: unknown 'odd'"),
        ("deblur sharp.png nan.tif -o there --kernel-size big", "--kernel-size: expected a number of pixels, or two"),
        ("estimate-kernel sharp.png nan.tif -o there --model magic", "--model: unknown 'magic', allowed are auto"),
        ("blur sharp.png nan.tif -o there --psf disk", "psf: 'disk' does not read as disk:radius[,size]"),
        ("deblur sharp.png -o out.png --psf disk:3 --bits 7", "bits: a .png file holds 8, 16"),
        (
            "deblur sharp.png -o out.png --psf disk:3 --device abacus",
            "--device: 'abacus' cannot be used here (there is no such kind; auto, cpu, cuda and mps are known)",
        ),
        ("deblur sharp.png --psf disk:3", "Missing option '--output' / '-o'"),
        ("deblur -o out.png --psf disk:3", "Missing argument 'IN...'"),
        ("deblur sharp.png -o out.png --psf disk:3 --iterations few", "'--iterations'"),
        ("deblur sharp.png -o out.png --psf disk:3 --frobnicate", "--frobnicate"),
        (
            "blur sharp.png -o out.png --psf disk:3 --noise -1",
            "--noise: expected a finite number of at least 0",
        ),
        ("blur sharp.png -o out.png --psf disk:3 --noise 2", "--noise: 2 is 200% of full scale; write 2% for 2 %"),
        ("deblur sharp.png -o out.png --psf disk:3 --weight -1", "'--weight'"),
        ("deblur sharp.png -o out.png --psf disk:3 --iterations 0", "'--iterations'"),
        ("blur sharp.png -o out.png --psf disk:3 --boundary odd", "boundary: unknown 'odd'"),
        ("frobnicate", "No such command 'frobnicate'"),
    ],
)
def test_what_will_not_do_is_one_line_and_status_2(here, tries, arguments, words):
    (here / "text.png").write_text("not an image")
    np.save("volume.npy", np.ones((3, 5, 5)))
    values = np.ones((20, 20), np.float32)
    values[3, 4] = np.nan
    tifffile.imwrite("nan.tif", values)
    before = {path: path.read_bytes() for path in here.iterdir()}
    status, out, err = tries(*arguments.split())
    assert status == 2
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert err.startswith("deconv")
    assert {path: path.read_bytes() for path in here.iterdir()} == before


def test_a_folder_without_permission(tries, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not os.path.isdir(path))
    status, _, err = tries("deblur", "sharp.png", "-o", "out.png", "--psf", "disk:2")
    assert status == 2
    assert "may not be written to" in err


def test_an_option_that_the_method_does_not_take_is_named(tries):
    status, _, err = tries(
        *("deblur", "sharp.png", "-o", "out.png", "--psf", "disk:2", "-m", "hyper_laplacian"),
        *("--noise-to-signal", "0.1"),
    )
    assert status == 2
    assert "--noise-to-signal: hyper_laplacian does not take it; it takes --sigma" in err


def test_a_failure_leaves_an_existing_output_as_it_was(here, tries, monkeypatch):
    (here / "out.png").write_bytes(b"before")

    def fails(image, psf, **options):
        raise FloatingPointError("the result is not finite")

    monkeypatch.setattr(methods.Method, "load", lambda self: fails)
    status, _, err = tries("deblur", "sharp.png", "-o", "out.png", "--psf", "disk:2", "--overwrite")
    assert (status, err) == (2, "deconv: the result is not finite\n")
    assert (here / "out.png").read_bytes() == b"before"
    monkeypatch.setenv("DECONV_TRACEBACK", "1")
    with pytest.raises(FloatingPointError):
        main(["deblur", "sharp.png", "-o", "out.png", "--psf", "disk:2", "--overwrite"])


def test_the_picture_never_replaces_itself(sharp, tries):
    arguments = ("deblur", "sharp.png", "-o", "sharp.png", "--psf", "disk:2")
    for more in ((), ("--overwrite",)):
        status, _, err = tries(*arguments, *more)
        assert (status, err) == (2, "deconv: --output: sharp.png is read; give another name\n")
    assert np.array_equal(read_image("sharp.png"), sharp)


def test_an_interrupt_is_status_130_without_a_traceback(tries, monkeypatch):
    def interrupted(image, psf, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(methods.Method, "load", lambda self: interrupted)
    status, _, err = tries("deblur", "sharp.png", "-o", "out.png", "--psf", "disk:2")
    assert (status, err) == (130, "deconv: interrupted\n")
