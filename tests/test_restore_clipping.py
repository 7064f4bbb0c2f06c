"""White that is white or more: clipped pixels bound the blurred latent image from one side."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import skimage.data
import torch

import deconv
from deconv.blind import KernelEstimate
from deconv.cli import main
from deconv.imaging import read_image, write_image
from deconv.imaging.clipping import clipped_ends, white_level, white_seen
from deconv.imaging.psf import camera_shake, disk
from deconv.restore.methods import METHODS
from deconv.restore.padded_domain import PaddedDomain
from deconv.restore.streaming_statistics import clipping_level

QUICK = ("wiener", "tikhonov", "unsupervised_wiener", "richardson_lucy", "total_variation", "hyper_laplacian")
BITS = {8: np.uint8, 16: np.uint16}


def _page() -> np.ndarray:
    drawing = np.ones((110, 120))
    for row in range(12, 98, 12):
        for column in range(12, 108, 5 + row % 7):
            drawing[row : row + 6, column : column + 2] = 0.1
    return drawing


def _sky() -> np.ndarray:
    rocket = skimage.data.rocket()[150:260, 250:370].mean(-1) / 255
    return np.where(np.arange(110)[:, None] + 10 * np.sin(np.arange(120) / 9) < 50, 1.0, 0.7 * rocket)


def _lamps() -> np.ndarray:
    street = 0.6 * skimage.data.astronaut()[300:410, 100:220].mean(-1) / 255
    rows, columns = np.mgrid[:110, :120]
    for row, column, radius, light in ((25, 30, 4.5, 2.5), (30, 85, 3.5, 4), (75, 50, 4, 3), (80, 95, 5, 2)):
        street[np.hypot(rows - row, columns - column) < radius] = light
    return street


PICTURES = {"page": _page, "sky": _sky, "lamps": _lamps}


@functools.cache
def case(name: str, bits: int, psf: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blurred and clipped, its psf, and the truth under it."""
    blur = disk(3.0) if psf == "disk" else camera_shake(11, seed=4)
    latent = PICTURES[name]()
    values = deconv.degrade(latent, blur, noise=0.004, seed=0)
    top, left = ((a - b) // 2 for a, b in zip(latent.shape, values.shape, strict=True))
    truth = latent[top : top + values.shape[0], left : left + values.shape[1]]
    full = 2**bits - 1
    return np.rint(values.clip(0, 1) * full).astype(BITS[bits]), np.asarray(blur), truth


def quality(image: np.ndarray, truth: np.ndarray) -> float:
    shares = image / np.iinfo(image.dtype).max
    return float(-10 * np.log10(np.mean((shares - truth.clip(0, 1)) ** 2)))


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("bits", BITS)
def test_white_is_not_destroyed(name, bits):
    # Least squares ring beyond white by themselves.
    worse = 0.15 if name == "tikhonov" else 0.05
    for picture, psf in (("page", "disk"), ("sky", "shake"), ("lamps", "shake")):
        image, blur, truth = case(picture, bits, psf)
        plain, bounded = (METHODS[name](image, blur, white=white) for white in (None, np.iinfo(image.dtype).max))
        assert quality(bounded, truth) > quality(plain, truth) - worse, picture


@pytest.mark.parametrize("name", ["total_variation", "hyper_laplacian"])
@pytest.mark.parametrize("bits", BITS)
def test_lamps_are_brighter_than_white(name, bits):
    image, blur, truth = case("lamps", bits, "shake")
    method, full = METHODS[name], np.iinfo(image.dtype).max
    hole, plain = method(image, blur, mask=image < full * 254 / 255), method(image, blur)
    bounded = quality(method(image, blur, white=full), truth)
    assert bounded > quality(hole, truth) + 1
    assert bounded > quality(plain, truth) + 1


def test_an_overexposed_photograph_is_no_page():
    scene = 1.5 * skimage.data.rocket()[250:410, 150:390] / np.float32(255)
    psf = deconv.imaging.psf.motion(15, 30.0)
    blurred = deconv.degrade(scene, psf, noise=0.005, seed=0).clip(0, 1)
    inside = tuple(slice((n - 1) // 2, side - n // 2) for n, side in zip(psf.shape, scene.shape[:2], strict=True))
    image, truth = np.rint(255 * blurred).astype(np.uint8), scene[inside]
    alone, known = (quality(deconv.hyper_laplacian(image, psf, mask=mask), truth) for mask in (None, "auto"))
    assert known > alone + 4


def test_a_clipped_pixel_is_no_misfit_beyond_white():
    image = torch.full((1, 1, 4, 4), 0.5)
    image[..., 1, 1], image[..., 2, 2] = 1.0, 0.0
    domain = PaddedDomain(image, torch.ones(1, 1), boundary="circular", clipped=clipped_ends(image, white=1.0))
    brighter, darker = image.clone(), image.clone()
    brighter[..., 1, 1], brighter[..., 2, 2] = 3.0, -2.0
    darker[..., 1, 1], darker[..., 2, 2] = 0.8, 0.1
    assert float(domain.misfit(brighter)) == 0
    assert float(domain.misfit(darker)) == pytest.approx(0.5 * (0.2**2 + 0.1**2))
    torch.testing.assert_close(domain.target(brighter), brighter)
    torch.testing.assert_close(domain.target(darker), image)
    assert domain.active(brighter).mask.sum() == 14
    assert domain.active().mask.sum() == 14


def test_no_clipped_pixel_changes_nothing():
    values = 0.2 + 0.5 * torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    for method in (METHODS[name] for name in QUICK):
        torch.testing.assert_close(method(values, disk(1.0), white=1.0), method(values, disk(1.0)))


def test_white_is_what_the_image_says():
    assert white_level(torch.tensor([0.1, 1.0])) == 1.0
    assert white_level(torch.linspace(0, 0.7, 50)) is None
    plateau = torch.cat([torch.linspace(0, 0.7, 50), torch.full((50,), 0.7)])
    assert [white_seen(plateau, full) for full in (255, 65535, None)] == [1.0, pytest.approx(0.7), pytest.approx(0.7)]
    assert [white_seen(plateau[:50], full) for full in (255, 65535, None)] == [1.0, 1.0, None]
    image, blur, _ = case("lamps", 8, "disk")
    expected = METHODS["tikhonov"](image, blur, white=255, sigma=0.01)
    np.testing.assert_array_equal(METHODS["tikhonov"](image, blur, mask="auto", sigma=0.01), expected)
    as_floats = METHODS["tikhonov"](image.astype(np.float32), blur, white=255.0, sigma=2.55)
    np.testing.assert_allclose(as_floats.clip(0, 255), expected, atol=1)
    tiles = deconv.restore.tiled("tikhonov", image, blur, white=255, sigma=0.01)
    np.testing.assert_allclose(tiles.astype(float), expected, atol=1)


def _stack_of_12_bits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spheres, some brighter than the camera counts, in words of 16 bits."""
    generator = np.random.default_rng(0)
    grid = np.mgrid[:16, :40, :40].astype(np.float32)
    latent = np.full(grid.shape[1:], 50, np.float32)
    for _ in range(12):
        centre, light = generator.uniform([3, 6, 6], [13, 34, 34]), generator.uniform(2000, 12000)
        latent += light * (np.square((grid - centre[:, None, None, None]) * [[[[2]]], [[[1]]], [[[1]]]]).sum(0) < 9)
    psf = deconv.imaging.psf.gaussian(1.0, 5)[:, 2:3, None] * deconv.imaging.psf.gaussian(1.5, 9)
    psf = psf / psf.sum()
    blurred = deconv.degrade(latent, psf, boundary="reflect")
    return np.minimum(generator.poisson(blurred), 4095).astype(np.uint16), np.asarray(psf), latent


def test_words_of_16_bits_end_where_the_camera_does():
    counts, psf, latent = _stack_of_12_bits()
    assert 1e-3 < (counts == 4095).mean() < 0.05
    method = METHODS["richardson_lucy"]
    told, seen, plain = (
        np.asarray(method(counts, psf, num_iter=40, **given), np.float64)
        for given in ({"white": 4095}, {"mask": "auto"}, {})
    )
    np.testing.assert_array_equal(seen, told)
    tiles = deconv.restore.tiled("richardson_lucy", counts, psf, mask="auto", num_iter=40, tile=24)
    errors = [float(np.sqrt(np.square(each - latent).mean())) for each in (seen, tiles, plain)]
    assert max(errors[:2]) < 0.9 * errors[2]


def test_strips_that_end_at_the_same_value_show_one_plateau():
    """The first holds one saturated voxel, as noise may make it, the others many."""
    counts = np.random.default_rng(0).integers(0, 3500, (40, 512, 512), np.uint16)
    counts[0, 0, 0] = counts[30:, :40] = 4095
    assert clipping_level(counts, [0, 1, 2]) == pytest.approx(4095)
    assert clipping_level(counts.astype(np.float32), [0, 1, 2]) == 4095
    assert clipping_level(counts[:20], [0, 1, 2]) == 65535


def test_signed_integers_have_no_white_but_what_they_show():
    """Without a full scale they are restored as the same values in floats are."""
    sharp = skimage.data.camera()[100:220, 150:270].astype(np.float32)
    blur = disk(3.0)
    counts = np.rint(10 * deconv.degrade(sharp, blur, noise=1.0, seed=0)).astype(np.int16)
    estimated = KernelEstimate(blur, counts, 0.0, (), (), 0.9)
    restored, expected = (deconv.deblur(image, estimated=estimated) for image in (counts, counts.astype(np.float32)))
    np.testing.assert_allclose(restored, expected, atol=1)


def test_the_command_takes_white_for_white_or_more(tmp_path):
    image, _, truth = case("lamps", 8, "disk")
    write_image(tmp_path / "in.png", image)
    results = []
    for more in ((), ("--no-clipped",)):
        deblur = [
            "deblur",
            str(tmp_path / "in.png"),
            "-o",
            str(tmp_path / "out.png"),
            "--psf",
            "disk:3",
            "-q",
            "--overwrite",
        ]
        assert main([*deblur, *more]) == 0
        results.append(quality(read_image(tmp_path / "out.png"), truth))
    assert results[0] > results[1] + 1
