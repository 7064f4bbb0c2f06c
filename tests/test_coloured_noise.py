"""Noise that is not white, as denoising leaves it: seen where the psf passes nothing, and told to the restoration."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from deconv import degrade, hyper_laplacian
from deconv.cli import main
from deconv.cli.inputs import read_source
from deconv.cli.smoothing import noise_to_tell
from deconv.imaging import estimate_noise, psf, psnr, read_image
from deconv.imaging.noise import noise_unevenness
from deconv.restore.coloured_noise import with_coloured_noise

DISK, MOTION = psf.disk(3), psf.motion(13, 30)
DENOISERS = {
    "median": lambda pixels: cv2.medianBlur(pixels, 3),
    "bilateral": lambda pixels: cv2.bilateralFilter(pixels, 7, 15, 2),
    "non-local means": lambda pixels: cv2.fastNlMeansDenoising(pixels, None, 5, 5, 15),
}
SHARP = skimage.data.camera()[100:340, 120:360]


def photograph(blur: torch.Tensor, *, noise: float = 0.02) -> np.ndarray:
    """As a file stores it, 8 bits."""
    return np.rint(255 * degrade(SHARP / 255, blur, noise=noise, seed=0).clip(0, 1)).astype(np.uint8)


def raised(values: np.ndarray, blur: torch.Tensor, **options) -> float:
    """By which factor the noise level of a grey image is raised."""
    image = torch.as_tensor(values / 255 if values.dtype == np.uint8 else values).float()[None, None]
    sigma = torch.as_tensor(estimate_noise(image))
    return float(with_coloured_noise(sigma, image, blur, **options) / sigma)


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.04])
@pytest.mark.parametrize("blur", [DISK, MOTION, psf.gaussian(1.2), psf.camera_shake(15, seed=2)], ids=range(4))
def test_white_noise_counts_as_it_is(blur, noise):
    assert raised(photograph(blur, noise=noise), blur) == 1


@pytest.mark.parametrize("name", ["median", "bilateral", "non-local means"])
@pytest.mark.parametrize("blur", [DISK, MOTION], ids=["disk", "motion"])
def test_a_denoised_photograph_is_restored_better(tmp_path, name, blur):
    Image.fromarray(DENOISERS[name](photograph(blur))).save(tmp_path / "a.png")
    source = read_source(tmp_path / "a.png", None)
    told, words = noise_to_tell(source, None, linear=False, known=True, strength=1.0, psf=blur)
    assert words.endswith("% as it is not white")
    above, left = (n // 2 for n in blur.shape)
    truth = SHARP[above : -above or None, left : -left or None]
    image = source.batch[0, 0].numpy()
    before, after = (
        psnr(hyper_laplacian(image, blur, sigma=sigma, progress=False), truth / 255)
        for sigma in (estimate_noise(image), float(told))
    )
    assert after > before + 0.5


def test_with_an_estimated_psf_it_counts_unless_that_leaves_more(tmp_path):
    Image.fromarray(DENOISERS["median"](photograph(DISK))).save(tmp_path / "a.png")
    source = read_source(tmp_path / "a.png", None)
    given = {"linear": False, "strength": 1.0}
    (inexact, _), (known, _) = (
        noise_to_tell(source, None, known=known, psf=psf, **given) for known, psf in ((False, None), (True, DISK))
    )
    told, words = noise_to_tell(source, None, known=False, psf=DISK, **given)
    assert told == max(inexact, known) > inexact
    assert words.endswith("% as it is not white")


@pytest.mark.parametrize("blur", [DISK, MOTION], ids=["disk", "motion"])
def test_the_power_of_the_noise_is_seen_where_the_psf_passes_none(blur):
    """Noise of known spectrum, three times stronger at all but the highest frequencies."""
    white = torch.randn(256, 256, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    radius = (torch.fft.fftfreq(256)[:, None].square() + torch.fft.fftfreq(256).square()).sqrt()
    noise = torch.fft.ifft2(torch.fft.fft2(white) * torch.where(radius < 0.45, 0.03, 0.01)).real
    clean = torch.as_tensor(degrade(skimage.data.camera() / 255, blur))[100:356, 100:356]
    image = (clean + noise)[None, None]
    sigma = torch.as_tensor(estimate_noise(image))
    told = with_coloured_noise(sigma, image, blur)
    assert float(sigma) == pytest.approx(0.01, rel=0.1)
    assert 0.015 < float(told) < 0.03
    torch.testing.assert_close(with_coloured_noise(2 * sigma, 2 * image, blur), 2 * told)


def test_white_light_beside_a_clean_piece_hides_nothing():
    """The piece that is looked at has none of it; where every piece has, the noise is as estimated."""
    median = DENOISERS["median"](photograph(DISK)) / 255
    wide = np.concatenate([np.ones_like(median), median], axis=1)
    assert raised(wide, DISK, white=1.0) > 1.5
    wide[::8, ::8] = 1
    assert raised(wide, DISK, white=1.0) == 1


def test_noise_is_uneven_where_it_was_taken_away_in_places():
    white = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    assert noise_unevenness(0.5 + 0.02 * white) == pytest.approx(1, abs=0.02)
    half = white.clone()
    half[..., :64] /= 8
    assert noise_unevenness(0.5 + 0.02 * half) > 1.3


def test_the_closing_line_says_what_the_noise_counts_as(tmp_path, capsys):
    for name, pixels in (("a.png", photograph(DISK)), ("b.png", DENOISERS["median"](photograph(DISK)))):
        Image.fromarray(pixels).save(tmp_path / name)
        assert main(["deblur", str(tmp_path / name), "-o", str(tmp_path / f"out-{name}"), "-p", "disk:3"]) == 0
        assert ("as it is not white" in capsys.readouterr().out) == (name == "b.png")
        assert read_image(tmp_path / f"out-{name}").shape == pixels.shape
