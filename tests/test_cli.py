"""``deconv blur`` and ``deconv deblur``: what they write, and what they say of it."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image

from deconv.cli import methods
from deconv.imaging import degrade, psf, psnr, read_image, read_stack, write_image, write_stack

pytestmark = pytest.mark.usefixtures("here")

PSF = "motion:7,30"


@pytest.fixture
def sharp():
    image = skimage.data.astronaut()[40:168, 150:300]
    write_image("sharp.png", image)
    return image


@pytest.fixture
def blurred(sharp):
    image = degrade(sharp, psf.parse(PSF), noise=0.01, seed=0)
    write_image("blurred.png", image)
    return image


def test_blur_is_degrade(sharp, tries):
    status, out, err = tries("blur", "sharp.png", "-o", "out.png", "--psf", PSF, "--noise", "2%", "--seed", "3")
    assert (status, err) == (0, "")
    np.testing.assert_array_equal(read_image("out.png"), degrade(sharp, psf.parse(PSF), noise=0.02, seed=3))
    assert "sharp.png -> out.png: 150 x 128 -> 144 x 124 colour, 8 bits" in out
    assert "psf motion:7,30 (5 x 7); noise 2.00%; valid;" in out
    assert out.count("\n") == 1


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_method_brings_the_picture_nearer(tries, method):
    sharp = skimage.data.astronaut()[60:108, 180:236]
    blurred = degrade(sharp, psf.parse(PSF), noise=0.01, seed=0)
    write_image("blurred.png", blurred)
    status, out, err = tries("deblur", "blurred.png", "-o", "out.png", "--psf", PSF, "--method", method)
    assert (status, err) == (0, "")
    truth = sharp[2:-2, 3:-3]
    assert psnr(read_image("out.png"), truth) > psnr(blurred, truth) + 1
    assert f"; {method}; " in out
    assert "noise 1." in out
    assert out.count("\n") == 1


def test_the_methods_are_functions_of_restore_and_the_default_is_one(sharp):
    for method in methods.METHODS.values():
        assert callable(method.load())
    assert methods.DEFAULT in methods.METHODS
    assert methods.choose("Hyper-Laplacian").name == "hyper_laplacian"


@pytest.mark.parametrize(
    ("shape", "seconds", "expected"),
    [
        ((1, 1, 512, 512), 60, "flow"),
        ((1, 3, 512, 512), 20, "hyper_laplacian"),
        ((1, 3, 4000, 3000), 20, "wiener"),
        ((1, 1, 4000, 3000), 0.01, "wiener"),
        ((1, 1, 8, 128, 128), 60, "hyper_laplacian"),
    ],
)
def test_auto_takes_the_best_within_the_time(shape, seconds, expected):
    assert methods.best(torch.empty(shape), seconds).name == expected


def test_auto_says_what_it_took(sharp, blurred, tries):
    status, out, _ = tries(
        "deblur", "blurred.png", "-o", "out.png", "--psf", PSF, "--method", "auto", "--budget", "0.5"
    )
    assert status == 0
    assert "; hyper_laplacian; " in out


def test_the_options_arrive_at_the_method(blurred, tries, monkeypatch):
    seen = {}

    def method(image, psf, *, sigma, boundary, num_iter, linear, white, progress):
        seen.update(image=image, psf=psf, sigma=sigma, boundary=boundary, num_iter=num_iter)
        seen.update(linear=linear, white=white, progress=progress)
        return image

    monkeypatch.setattr(methods.Method, "load", lambda self: method)
    status, out, _ = tries(
        *("deblur", "blurred.png", "-o", "out.png", "--psf", PSF, "--sigma", "0.5%", "--boundary", "reflect"),
        *("--iterations", "9", "--linear", "--clipped", "-q"),
    )
    assert status == 0
    assert out == ""
    assert seen.pop("image").shape == (1, 3, 124, 144)
    torch.testing.assert_close(seen.pop("psf"), psf.parse(PSF))
    assert seen.pop("white") == 1.0
    assert 0.0005 < seen.pop("sigma") < 0.011  # 0.5 % of the file's values, in light
    assert seen == {
        "boundary": "reflect",
        "num_iter": 9,
        "linear": True,
        "progress": False,
    }


@pytest.mark.parametrize(("sigma", "quality"), [(0.0, 95), (0.0, 80), (0.01, 90), (0.02, 95), (0.02, 80)])
def test_the_traces_of_jpeg_are_not_amplified(tries, sigma, quality):
    """With the estimated noise the result is nearly as good as with the true error of the compressed picture."""
    sharp, h = skimage.data.camera()[64:320, 128:384].astype(np.float32) / 255, psf.camera_shake(15, seed=3)
    seen = (degrade(sharp, h, noise=sigma, seed=0).clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(seen).save("seen.jpg", quality=quality)
    error = float(np.sqrt(np.square(read_image("seen.jpg") / 255 - degrade(sharp, h)).mean()))
    arguments = ("deblur", "seen.jpg", "--psf", "shake:15,seed=3", "-m", "hyper_laplacian", "-q", "--bits", "8")
    assert tries(*arguments, "-o", "guessed.png")[0] == 0
    assert tries(*arguments, "-o", "told.png", "--sigma", str(error))[0] == 0
    truth = sharp[7:-7, 7:-7]
    guessed, told = (psnr(read_image(name) / 255, truth) for name in ("guessed.png", "told.png"))
    assert guessed > told - 0.5


def test_noise_of_light_is_estimated_in_light(blurred, tries):
    plain, light = (
        tries("deblur", "blurred.png", "-o", "out.png", "--psf", PSF, *more)[1]
        for more in ((), ("--linear", "--overwrite"))
    )
    assert plain.split("noise ")[1] != light.split("noise ")[1]


def test_depth_opacity_and_grey_are_kept(tries):
    grey = np.dstack([skimage.data.camera()[:90, :100], np.full((90, 100), 77, np.uint8)])
    Image.fromarray(grey).save("grey.png")
    write_image("deep.png", (skimage.data.astronaut()[:90, :100] * 257.0).astype(np.uint16))
    tifffile.imwrite("float.tif", skimage.data.camera()[:90, :100].astype(np.float32) * 3)
    for name in ("grey.png", "deep.png", "float.tif"):
        assert tries("deblur", name, "-o", f"out-{name}", "--psf", "gaussian:1", "-q")[0] == 0
    with Image.open("out-grey.png") as image:
        assert image.mode == "LA"
        assert (np.asarray(image)[..., 1] == 77).all()
    assert read_image("out-deep.png").dtype == np.uint16
    restored = read_image("out-float.tif")
    assert restored.dtype == np.float32
    assert restored.max() > 300
    assert tries("deblur", "deep.png", "-o", "out.jpg", "--psf", "gaussian:1", "--bits", "8")[0] == 0
    assert read_image("out.jpg").dtype == np.uint8


def test_a_psf_from_a_file_is_reported(blurred, tries):
    h = psf.parse(PSF).numpy()
    np.save("k.npy", 5 * np.pad(h, ((0, 6), (0, 4))))
    arguments = ("blur", "blurred.png", "-o", "out.png", "--psf", "k.npy")
    _, out, _ = tries(*arguments)
    assert "psf k.npy (11 x 11, divided by its sum 5, centroid (-3.0, -2.0) pixels off the centre" in out
    _, out, _ = tries(*arguments, "--recentre", "--overwrite")
    assert "psf k.npy (5 x 7, divided by its sum 5, centroid moved from (-3.0, -2.0) to the centre" in out
    np.testing.assert_array_equal(read_image("out.png"), degrade(blurred, h))


def test_volumes_are_blurred_and_deblurred(tries):
    row, column, depth = np.mgrid[:40, :50, :20] / 6
    volume = (0.5 + 0.4 * np.sin(row) * np.cos(column) * np.sin(depth)).transpose(2, 0, 1)
    write_stack("sharp.tif", (volume * 65535).astype(np.uint16))
    h = np.ones((3, 5, 5)) / 75
    np.save("k.npy", h)
    options = ("--psf", "k.npy", "--noise", "1%", "--seed", "0")
    status, out, _ = tries("blur", "sharp.tif", "-o", "blurred.tif", *options)
    assert status == 0
    assert "20 x 40 x 50 -> 18 x 36 x 46 volume, 16 bits" in out
    status, out, err = tries("deblur", "blurred.tif", "-o", "out.tif", "--psf", "k.npy")
    assert (status, err) == (0, "")
    assert "noise 1." in out
    assert (read_stack("blurred.tif").dtype, read_stack("out.tif").dtype) == (np.uint16, np.float32)
    errors = [
        np.square(read_stack(name) / 65535 - volume[1:-1, 2:-2, 2:-2]).mean() for name in ("out.tif", "blurred.tif")
    ]
    assert errors[0] < errors[1]
