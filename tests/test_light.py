"""The light that a picture was blurred in is told from the picture."""

from __future__ import annotations

import re
import types
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageDraw

import deconv.blind
from deconv.blind.light import excess_in_light, made_in_light, surely_in_light
from deconv.cli import main
from deconv.cli.blind import Search, find_blur
from deconv.cli.inputs import read_source
from deconv.imaging import degrade, read_image, write_image
from deconv.imaging.psf import camera_shake, disk, gaussian, motion
from deconv.imaging.srgb import to_linear, to_srgb

SHARP = skimage.data.astronaut()[20:220, 120:330]
PSFS = {"motion:11,30": motion(11, 30), "disk:3": disk(3.0)}


def blurred(psf: torch.Tensor, sharp: np.ndarray = SHARP, *, linear: bool, sigma: float = 0.004) -> torch.Tensor:
    image = torch.from_numpy(sharp / 255).float().movedim(-1, 0)[None]
    values = degrade(to_linear(image) if linear else image, psf)
    values = to_srgb(values) if linear else values
    noise = sigma * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
    return (values + noise).clamp(0, 1)


def page(psf: torch.Tensor, *, linear: bool, sigma: float = 0.004) -> torch.Tensor:
    """Text, black on white, blurred."""
    image = Image.new("RGB", (360, 240), "white")
    for row in range(12):
        words = f"{row} the quick brown fox jumps over the lazy dog"
        ImageDraw.Draw(image).text((6 + row, 8 + 20 * row), words, "black")
    return blurred(psf, np.asarray(image), linear=linear, sigma=sigma)


@pytest.mark.parametrize("psf", [*PSFS.values(), camera_shake(15, seed=3)], ids=range(3))
@pytest.mark.parametrize("linear", [True, False])
def test_the_light_is_told_from_the_picture(psf, linear):
    assert made_in_light(blurred(psf, linear=linear), psf) == linear


@pytest.mark.parametrize("psf", [*PSFS.values(), camera_shake(15, seed=3)], ids=range(3))
@pytest.mark.parametrize("linear", [True, False])
def test_the_light_is_told_from_text(psf, linear):
    assert made_in_light(page(psf, linear=linear), psf, camera=False) == linear


@pytest.mark.parametrize("psf", [*PSFS.values(), camera_shake(15, seed=3)], ids=range(3))
@pytest.mark.parametrize("sigma", [0.02, 0.04])
def test_where_noise_hides_the_light_a_photograph_has_what_a_lens_blurs(psf, sigma):
    assert made_in_light(blurred(psf, linear=True, sigma=sigma), psf)


def test_what_may_be_a_programs_is_told_by_the_picture_alone(tmp_path):
    for sigma in (0.02, 0.04):
        image = blurred(PSFS["disk:3"], linear=False, sigma=sigma)
        assert not made_in_light(image, PSFS["disk:3"], camera=False)
    pixels = (255 * image[0].movedim(0, -1)).round().byte().numpy()
    maker, notes = Image.Exif(), Image.Exif()
    maker[271] = notes[271] = "a camera, or a scanner"
    notes.get_ifd(0x8769)[33434] = (1, 100)
    given = {"a.png": {}, "b.jpg": {}, "c.png": {"exif": notes}, "d.png": {"exif": maker}, "e.tif": {"exif": maker}}
    for name, options in given.items():
        Image.fromarray(pixels).save(tmp_path / name, **options)
    assert [read_source(tmp_path / name, None).camera for name in given] == [False, True, True, False, False]


@pytest.mark.parametrize("linear", [True, False])
def test_what_is_found_in_grey_values_only_may_be_one_of_light(tmp_path, monkeypatch, capsys, linear):
    """In light the noise is uneven, which hides what is there."""
    psf, tried = PSFS["disk:3"], []

    def estimate(image, *window, **options):
        tried.append(image)
        frame = types.SimpleNamespace(inside=lambda image: image)
        return types.SimpleNamespace(found=len(tried) > 1, psf=psf, frame=frame, cautions=())

    write_image(tmp_path / "in.jpg", blurred(psf, linear=linear)[0], bits=8)
    source = read_source(tmp_path / "in.jpg", None)
    monkeypatch.setattr(deconv.blind, "estimate", estimate)
    assert find_blur(source, Search())[1] == linear
    said = capsys.readouterr().err
    assert "looking once more, in grey values: nothing is found in linear light" in said
    torch.testing.assert_close(tried[0], to_linear(source.batch))
    torch.testing.assert_close(tried[1], source.batch)


@pytest.mark.parametrize(
    ("linear", "cautions", "looks"), [(True, (), 1), (True, ("it may be wrong",), 2), (False, (), 2)]
)
def test_of_two_estimates_the_one_of_the_right_light_is_taken(tmp_path, monkeypatch, linear, cautions, looks):
    """In the wrong light another psf is found, which explains the picture there."""
    right, wrong, tried = PSFS["motion:11,30"], disk(2.0), []

    def estimate(image, *window, **options):
        tried.append(image)
        frame = types.SimpleNamespace(inside=lambda image: image)
        psf = right if (len(tried) == 1) == linear else wrong
        return types.SimpleNamespace(found=True, psf=psf, frame=frame, cautions=cautions)

    write_image(tmp_path / "in.png", (blurred if linear else page)(right, linear=linear)[0], bits=8)
    source = read_source(tmp_path / "in.png", None)
    monkeypatch.setattr(deconv.blind, "estimate", estimate)
    found, light = find_blur(source, Search(quiet=True))
    assert (found.psf is right, light, len(tried)) == (True, linear, looks)


@pytest.mark.parametrize(("linear", "found"), [(True, disk(4.0)), (False, gaussian(0.4))], ids=["light", "grey"])
def test_light_is_not_sure_where_the_spectrum_shows_a_blur_of_grey_values(linear, found):
    """A narrow psf may explain a page in light by a margin, though grey values were blurred by a wide one."""
    image = page(disk(4.0), linear=linear, sigma=0.002)
    assert excess_in_light(image, found)[0] < -0.1
    assert surely_in_light(image, found) == linear


@pytest.mark.parametrize("linear", [True, False])
def test_what_is_transparent_tells_neither_noise_nor_light(tmp_path, monkeypatch, capsys, linear):
    """A cut-out is restored as it is before it is cut out; what a program has put outside is not looked at."""
    monkeypatch.chdir(tmp_path)
    pixels = (255 * blurred(PSFS["disk:3"], linear=linear)[0].movedim(0, -1)).round().byte().numpy()
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    seen = (rows - 95) ** 2 + (columns - 100) ** 2 < 75**2
    Image.fromarray(np.dstack([pixels * seen[..., None], 255 * seen.astype(np.uint8)])).save("in.png")
    assert main(["deblur", "in.png", "-o", "out.png", "-p", "disk:3"]) == 0
    said = capsys.readouterr().out
    assert ("linear light" if linear else "grey values") in said
    assert float(re.search(r"noise ([\d.]+)%", said)[1]) > 0.2
    inside = ((rows - 95) ** 2 + (columns - 100) ** 2 < 60**2)[..., None]
    truth = SHARP[3:-3, 3:-3]
    with Image.open("out.png") as restored:
        errors = [
            ((image - truth) ** 2)[inside[..., 0]].mean() for image in (pixels / 1.0, np.asarray(restored)[..., :3])
        ]
    assert errors[1] < errors[0] / 2


def test_a_picture_of_one_colour_counts_as_made_in_light():
    assert made_in_light(torch.full((1, 3, 40, 40), 0.5), disk(2.0))


@pytest.mark.parametrize(("linear", "bits"), [(True, 8), (False, 8), (True, 16), (False, 16)])
def test_a_photograph_is_restored_in_its_light(tmp_path, monkeypatch, capsys, linear, bits):
    monkeypatch.chdir(tmp_path)
    write_image("in.png", blurred(PSFS["disk:3"], linear=linear)[0], bits=bits)
    results = {}
    for more in ((), ("--linear",), ("--no-linear",)):
        assert main(["deblur", "in.png", "-o", "out.png", "--overwrite", "-p", "disk:3", *more]) == 0
        results[more] = read_image("out.png")
        said = capsys.readouterr().out
        if not more:
            assert ("linear light" if linear else "grey values") in said
    np.testing.assert_array_equal(results[()], results[("--linear" if linear else "--no-linear",)])
    truth = SHARP[3:-3, 3:-3] / 255
    errors = {more: np.mean((image / (2**bits - 1) - truth) ** 2) for more, image in results.items()}
    assert errors[()] == min(errors.values())


def test_what_is_no_photograph_is_restored_in_its_values(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_image("in.png", blurred(PSFS["disk:3"], linear=True)[0].mean(0), bits=16)
    assert main(["deblur", "in.png", "-o", "out.png", "-p", "disk:3", "-m", "wiener"]) == 0
    assert "grey values" in capsys.readouterr().out


def test_blur_in_light(tmp_path):
    write_image(tmp_path / "in.png", SHARP, bits=8)
    command = ["blur", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), "-p", "disk:3", "--linear", "-q"]
    assert main(command) == 0
    assert Path(tmp_path / "out.png").exists()
    expected = to_srgb(degrade(to_linear(torch.from_numpy(SHARP / 255).movedim(-1, 0)), disk(3.0))).movedim(0, -1)
    np.testing.assert_allclose(read_image(tmp_path / "out.png") / 255, expected, atol=0.6 / 255)
