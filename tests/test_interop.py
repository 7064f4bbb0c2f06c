"""Methods as deepinv calls them: by its protocol, and by itself where it is installed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from restorations import PSF, latent_image, observation

from deconv import restore
from deconv.imaging import psnr
from deconv.interop import Reconstructor


class GaussianNoise(SimpleNamespace):
    """Of the name that deepinv's has."""


class PoissonGaussianNoise(SimpleNamespace):
    """Whose sigma is that of reading out, the least part of its noise."""


def physics(padding="valid", sigma=0.01, psf=PSF):
    return SimpleNamespace(filter=psf[None, None], padding=padding, noise_model=GaussianNoise(sigma=sigma))


@pytest.mark.parametrize(
    ("padding", "boundary"), [("valid", "unknown"), ("circular", "circular"), ("reflect", "reflect")]
)
def test_the_physics_tells_psf_boundary_and_noise(padding, boundary):
    y = torch.from_numpy(observation())[None, None]
    expected = restore.tikhonov(y, PSF, sigma=0.01, boundary=boundary)
    for sigma in (0.01, torch.tensor([0.01]), torch.full((1, 1, 1, 1), 0.01)):
        torch.testing.assert_close(Reconstructor("tikhonov")(y, physics(padding, sigma)), expected)
    known = Reconstructor("tikhonov", sigma=0.01)(y, physics(padding, 0.5))
    torch.testing.assert_close(known, expected)


def test_without_padding_or_noise_it_is_circular_and_estimated():
    y = torch.from_numpy(observation())[None, None]
    blur = SimpleNamespace(filter=PSF[None, None])
    torch.testing.assert_close(Reconstructor("wiener")(y, blur), restore.wiener(y, PSF, boundary="circular"))


def test_a_sigma_of_other_noise_is_not_taken_for_all_of_it():
    y = torch.from_numpy(observation())[None, None]
    blur = SimpleNamespace(filter=PSF[None, None], noise_model=PoissonGaussianNoise(gain=0.01, sigma=1e-4))
    expected = restore.tikhonov(y, PSF, boundary="circular")
    torch.testing.assert_close(Reconstructor("tikhonov")(y, blur), expected)


def test_a_blur_that_leaves_out_pixels_is_refused():
    y = torch.from_numpy(observation())[None, None]
    with pytest.raises(TypeError, match="physics: expected a blur with a filter, given SimpleNamespace"):
        Reconstructor("wiener")(y, SimpleNamespace(filter=PSF[None, None], padding="circular", factor=2))


def test_errors():
    y = torch.from_numpy(observation())[None, None]
    with pytest.raises(TypeError, match="physics: expected a blur with a filter, given SimpleNamespace"):
        Reconstructor("wiener")(y, SimpleNamespace())
    with pytest.raises(ValueError, match=r"physics\.padding: unknown 'wrap', allowed are valid"):
        Reconstructor("wiener")(y, physics("wrap"))


@pytest.mark.parametrize("size", [(5, 7), (4, 6)])
def test_with_deepinv(size):
    deepinv = pytest.importorskip("deepinv")
    x = torch.from_numpy(latent_image())[None, None].float()
    psf = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    psf = psf / psf.sum()
    noise = deepinv.physics.GaussianNoise(0.005)
    for blur in (
        deepinv.physics.Blur(psf, padding="circular", noise_model=noise),
        deepinv.physics.BlurFFT(tuple(x.shape[1:]), psf, noise_model=noise),
    ):
        y = blur(x)
        assert psnr(Reconstructor("tikhonov")(y, blur), x) > psnr(y, x) + 2


def test_what_deepinv_has_beside_gaussian_blurs():
    deepinv = pytest.importorskip("deepinv")
    x = torch.from_numpy(latent_image())[None, None].float()
    noise = deepinv.physics.PoissonGaussianNoise(gain=0.005, sigma=0.01)
    blur = deepinv.physics.Blur(PSF[None, None].float(), padding="circular", noise_model=noise)
    y = blur(x)
    assert psnr(Reconstructor("total_variation")(y, blur), x) > psnr(y, x)
    smaller = deepinv.physics.Downsampling((1, 96, 80), filter="gaussian", factor=2)
    with pytest.raises(TypeError, match="physics: expected a blur with a filter, given Downsampling"):
        Reconstructor("wiener")(smaller(x), smaller)


def test_denoisers_of_deepinv_plug_in():
    deepinv = pytest.importorskip("deepinv")
    y = torch.from_numpy(observation())[None, None].float()
    restored = restore.plug_and_play(y, PSF.float(), deepinv.models.TVDenoiser(n_it_max=20), num_iter=4)
    assert psnr(restored[0, 0], latent_image()[2:-2, 3:-3]) > psnr(y[0, 0], latent_image()[2:-2, 3:-3]) + 2
