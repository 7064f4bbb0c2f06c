"""PSNR and SSIM against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.data
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from deconv.imaging import degrade, psf, psnr, ssim


def pair(colour: bool, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    truth = skimage.data.astronaut()[100:180, 150:250]
    truth = truth if colour else truth[..., 1]
    truth = truth.astype(dtype) / 255 if dtype.startswith("float") else truth
    return degrade(truth, psf.gaussian(1), noise=0.02, boundary="reflect", seed=0), truth


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("border", [0, 7])
def test_the_values_are_scikit_images(dtype, colour, border):
    image, truth = pair(colour, dtype)
    inside = slice(border, -border or None), slice(border, -border or None)
    peak = 255 if dtype == "uint8" else 1
    expected = peak_signal_noise_ratio(truth[inside], image[inside], data_range=peak)
    assert psnr(image, truth, border=border) == pytest.approx(expected, abs=1e-3)
    expected = structural_similarity(
        truth[inside],
        image[inside],
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=peak,
        channel_axis=-1 if colour else None,
    )
    assert ssim(image, truth, border=border) == pytest.approx(expected, abs=2e-4)


def test_equal_images_are_perfect():
    image, _ = pair(True, "float32")
    assert psnr(image, image) == math.inf
    assert ssim(image, image) == pytest.approx(1)


def test_batches_get_one_value_each_with_gradients():
    image = torch.rand(3, 2, 20, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    truth = image.roll(1, -1)
    for metric in (psnr, ssim):
        values = metric(image, truth)
        assert values.shape == (3,)
        assert values[1] == pytest.approx(metric(image[1], truth[1]))
        assert torch.autograd.gradcheck(lambda x, f=metric: f(x, truth), image.clone().requires_grad_(), fast_mode=True)


def test_kinds_and_dtypes_may_be_mixed():
    image, truth = pair(False, "float64")
    assert psnr(torch.from_numpy(image), truth.astype(np.float32)) == pytest.approx(psnr(image, truth), abs=1e-4)


@pytest.mark.parametrize(
    ("shapes", "border", "words"),
    [
        (((8, 8), (8, 9)), 0, r"truth: its shape \(8, 9\) differs"),
        (((8, 8), (8, 8)), 4, "border: 4 pixels on each side leave nothing of 8 x 8"),
        (((8, 8), (8, 8)), -1, "border: -1"),
    ],
)
def test_what_cannot_be_compared_is_refused(shapes, border, words):
    with pytest.raises(ValueError, match=words):
        psnr(np.zeros(shapes[0]), np.zeros(shapes[1]), border=border)


def test_ssim_needs_a_window():
    with pytest.raises(ValueError, match="ssim needs 11 x 11 pixels"):
        ssim(np.zeros((12, 12)), np.zeros((12, 12)), border=1)


def test_volumes_have_a_psnr():
    volume = np.random.default_rng(0).random((5, 20, 24))
    assert psnr(volume + 0.1, volume) == pytest.approx(20)
    with pytest.raises(ValueError, match="channels on the wrong side"):
        psnr(volume, volume, border=1)
