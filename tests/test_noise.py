"""The noise estimate: on pure noise, on blurred photographs, and where there is nothing to estimate."""

from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from deconv.imaging import degrade, estimate_noise, psf

BLURS = {
    "gaussian, slight": psf.gaussian(0.8),
    "gaussian": psf.gaussian(2.0),
    "disk": psf.disk(3),
    "motion": psf.motion(15, 20),
    "shake": psf.camera_shake(21, seed=1),
}


def white(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sigma", [1e-4, 0.01, 0.5])
def test_pure_noise(sigma):
    assert estimate_noise((0.5 + sigma * white(512, 512)).numpy()) == pytest.approx(sigma, rel=0.02)


@pytest.mark.parametrize("sigma", [0.005, 0.01, 0.03])
@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("name", ["camera", "astronaut", "brick"])
def test_blurred_photographs(name, blur, sigma):
    photograph = getattr(skimage.data, name)().astype(np.float32) / 255
    observed = degrade(photograph, BLURS[blur], noise=sigma, seed=1)
    assert estimate_noise(observed) == pytest.approx(sigma, rel=0.06)


@pytest.mark.parametrize("blur", BLURS)
def test_a_blurred_photograph_without_noise_has_next_to_none(blur):
    latent = skimage.data.camera().astype(np.float32) / 255
    assert estimate_noise(degrade(latent, BLURS[blur])) < 0.0015


def test_every_sample_has_its_own():
    sigmas = torch.tensor([0.01, 0.05, 0.02])
    batch = 0.5 + sigmas[:, None, None, None] * white(3, 3, 128, 128)
    estimates = estimate_noise(batch)
    torch.testing.assert_close(estimates, sigmas, rtol=0.04, atol=0)
    assert isinstance(estimate_noise(batch.numpy()), np.ndarray)
    assert estimate_noise(batch[1]) == pytest.approx(float(estimates[1]))


def test_channels_are_averaged_in_variance():
    image = 0.5 + torch.tensor([0.01, 0.03, 0.05])[:, None, None] * white(3, 256, 256)
    assert estimate_noise(image) == pytest.approx(np.sqrt((0.01**2 + 0.03**2 + 0.05**2) / 3), rel=0.03)


def test_integers_are_measured_against_their_full_scale():
    latent = np.full((256, 256), 0.5, np.float32)
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        noisy = degrade((latent * top).astype(dtype), psf.box(1), noise=0.02, seed=0)
        assert estimate_noise(noisy) == pytest.approx(0.02, rel=0.04)


def test_clipped_regions_do_not_count_as_clean():
    """Two thirds of the picture are black or white without a trace of noise; the rest shows it."""
    noisy = 0.5 + 0.02 * white(300, 300)
    noisy[:100] = 0
    noisy[200:] = 1
    assert estimate_noise(noisy) == pytest.approx(0.02, rel=0.05)


def counts(mean: float, shape=(120, 160)) -> np.ndarray:
    """Photons that a camera counts of something that is not of one brightness."""
    row, column = np.mgrid[: shape[0], : shape[1]] / 15
    brightness = 1 + 0.5 * np.sin(row) * np.cos(column)
    return np.random.default_rng(0).poisson(mean * brightness).astype(np.float32)


@pytest.mark.parametrize("mean", [0.05, 0.2, 0.5, 1, 2, 5])
@pytest.mark.parametrize("unit", [1, 40_000, 1e-15])
def test_the_noise_of_counts_is_the_root_of_their_mean(mean, unit):
    assert estimate_noise(counts(mean) * np.float32(unit)) == pytest.approx(unit * mean**0.5, rel=0.07)


def test_clipping_is_seen_in_spite_of_a_few_outliers():
    noisy = 0.5 + 0.02 * white(300, 300)
    noisy[:100], noisy[200:] = 0, 1
    noisy[50, 50:53], noisy[250, 7] = -40, 100
    assert estimate_noise(noisy) == pytest.approx(0.02, rel=0.05)


def test_a_page_of_text_has_no_noise():
    page = np.full((200, 300), 255, np.uint8)
    for row in range(10, 190, 12):
        page[row : row + 6, 20:280:5] = 0
    assert estimate_noise(page) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (7, 1), (6, 6), (1, 400)])
def test_images_of_any_size_give_a_finite_number(shape):
    assert estimate_noise(np.zeros(shape)) == 0
    assert estimate_noise(np.full(shape, 0.3, np.float32)) < 1e-6
    assert np.isfinite(estimate_noise(white(*shape)))


def test_a_line_is_judged_along_itself():
    assert estimate_noise(0.5 + 0.02 * white(1, 4000)) == pytest.approx(0.02, rel=0.08)


@pytest.mark.parametrize("shape", [(4000, 500), (1500, 1500), (40, 60_000), (90, 40_000)])
def test_large_images_are_sampled_all_over(shape):
    """The noise grows from one end to the other, so a part would not do for the whole."""
    growing = torch.linspace(0.01, 0.03, shape[0])[:, None] * white(*shape)
    expected = float(growing.abs().median() / 0.67449)
    assert estimate_noise(growing) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("sigma", [0.005, 0.01, 0.03])
def test_white_noise_is_seen_at_lower_frequencies_too(sigma):
    assert estimate_noise(0.5 + sigma * white(512, 512), white=False) == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize(
    ("quality", "sigma"),
    [(98, 0.005), (95, 0.005), (95, 0.02), (90, 0.005), (90, 0.01), (80, 0.01), (80, 0.03)],
)
@pytest.mark.parametrize("blur", ["disk", "shake"])
def test_what_jpeg_leaves_of_the_noise(quality, sigma, blur):
    """The error of the decoded picture, of which the highest frequencies may tell a quarter."""
    latent = skimage.data.camera().astype(np.float32) / 255
    clean = degrade(latent, BLURS[blur])
    noisy = (degrade(latent, BLURS[blur], noise=sigma, seed=0).clip(0, 1) * 255).round().astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(stream)).astype(np.float32) / 255
    error = float(np.sqrt(np.square(decoded - clean).mean()))
    assert 0.7 * error < estimate_noise(decoded, white=False) < 1.2 * error


def test_small_images_are_judged_by_their_highest_frequencies():
    small = 0.5 + 0.02 * white(27, 100)
    assert estimate_noise(small, white=False) == estimate_noise(small)
    assert estimate_noise(np.zeros((64, 64)), white=False) == 0


def test_places_without_a_value_are_left_out():
    noisy = degrade(skimage.data.camera() / 255, psf.disk(2.0), noise=0.01, seed=0)
    cut, known = noisy.copy(), np.ones_like(noisy)
    known[:, ::2][:, : noisy.shape[1] // 3] = 0
    known[noisy.shape[0] // 3 :] = 0
    cut[known == 0] = 0.5
    for white in (True, False):
        assert estimate_noise(cut, white=white, mask=known) == pytest.approx(0.01, rel=0.2)
        assert estimate_noise(cut, white=white) < 0.005
    with pytest.raises(ValueError, match="mask: expected the image's shape"):
        estimate_noise(cut, mask=known[1:])


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_scattered_pixels_without_a_value_are_left_out(share):
    noisy = degrade(skimage.data.camera() / 255, psf.disk(2.0), noise=0.01, seed=0)
    known = (np.random.default_rng(0).random(noisy.shape) > share).astype(float)
    assert estimate_noise(np.where(known, noisy, 0.5), mask=known) == pytest.approx(0.01, rel=0.25)
