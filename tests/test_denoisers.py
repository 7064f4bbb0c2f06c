"""Denoisers, and plug-and-play with them: ours, and others as they are."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from restorations import PSF, agreement, field_of_view, latent_image, observation, random

from deconv import restore
from deconv.imaging import psnr
from deconv.restore import denoisers


def test_the_cosine_denoiser_denoises():
    sharp = torch.from_numpy(latent_image())[None, None]
    for sigma in (0.02, 0.1):
        noisy = sharp + sigma * random(*sharp.shape)
        assert psnr(denoisers.dct_denoise(noisy, sigma), sharp) > psnr(noisy, sharp) + 3
    torch.testing.assert_close(denoisers.dct_denoise(sharp, 0.0), sharp)
    flat = torch.full_like(sharp, 0.3)  # whose coefficients are zero
    torch.testing.assert_close(denoisers.dct_denoise(flat, 0.0), flat)
    both = torch.cat([sharp, sharp + 0.1 * random(*sharp.shape)])
    levels = torch.tensor([1e-9, 0.1]).view(2, 1, 1, 1)
    torch.testing.assert_close(denoisers.dct_denoise(both, levels)[1:], denoisers.dct_denoise(both[1:], 0.1))


# Decibels that plugging it in adds, at least.
SKIMAGE = {
    "denoise_bilateral": 1.0,
    "denoise_nl_means": 3.5,
    "denoise_tv_bregman": 3.5,
    "denoise_tv_chambolle": 4.0,
    "denoise_wavelet": 1.5,
}


@pytest.mark.parametrize("name", SKIMAGE)
def test_denoisers_of_scikit_image_plug_in_as_they_are(name):
    from skimage import restoration

    denoiser = getattr(restoration, name)
    restored = restore.plug_and_play(observation(), PSF, denoiser, num_iter=6)
    assert psnr(restored, field_of_view()) > psnr(observation(), field_of_view()) + SKIMAGE[name]
    colour = np.stack([observation()[:48, :48]] * 3, -1)
    assert restore.plug_and_play(colour, PSF, denoiser, num_iter=2).shape == colour.shape


def test_keywords_of_a_partial_are_kept():
    from skimage.restoration import denoise_tv_chambolle

    calls = []

    @functools.wraps(denoise_tv_chambolle)
    def spy(image, weight, **keywords):
        calls.append((weight, keywords))
        return image

    restore.plug_and_play(observation(), PSF, functools.partial(spy, max_num_iter=7), levels=[0.1], num_iter=1)
    restore.plug_and_play(observation(), PSF, functools.partial(spy, weight=0.5), levels=[0.1], num_iter=1)
    assert calls == [(pytest.approx(0.07), {"max_num_iter": 7}), (0.5, {})]


def test_denoisers_are_called_as_they_expect():
    calls = []

    class Module(torch.nn.Module):
        def forward(self, x, sigma):
            calls.append((x, sigma))
            return x

    levels = [0.2, 0.1]
    restore.plug_and_play(observation(), PSF, Module(), levels=levels, num_iter=3)
    assert [sigma for _, sigma in calls] == pytest.approx([0.2, 0.1, 0.1])
    assert all(isinstance(x, torch.Tensor) and x.shape[:2] == (1, 1) for x, _ in calls)

    calls.clear()
    restore.plug_and_play(np.stack([observation()] * 3)[:, None], PSF, Module(), sigma=np.array([0.01, 0.02, 0.01]))
    assert {len(x) for x, _ in calls[-3:]} == {1}
    assert [sigma for _, sigma in calls[-3:]] == pytest.approx([0.01, 0.02, 0.01])

    shapes = []

    def arrays(image, sigma):
        shapes.append(image.shape)
        return image * 0.99

    restore.plug_and_play(observation(), PSF, denoisers.on_arrays(arrays), num_iter=1)
    restore.plug_and_play(np.stack([observation()] * 3, -1), PSF, denoisers.on_arrays(arrays), num_iter=1)
    assert [len(shape) for shape in shapes] == [2, 3]
    assert shapes[1][-1] == 3


def test_a_network_sees_the_image_in_its_own_dtype():
    network = torch.nn.Conv2d(1, 1, 1, bias=False)
    torch.nn.init.ones_(network.weight)

    class Denoiser(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x, sigma):
            return self.network(x)

    restored = restore.plug_and_play(observation(), PSF, Denoiser(), num_iter=3)
    assert restored.dtype == np.float64
    assert agreement(restored, restore.plug_and_play(observation(), PSF, lambda x, _: x, num_iter=3)) > 100


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"denoiser": 3}, TypeError, "denoiser: expected a callable"),
        ({"denoiser": lambda x, s: x[..., 1:]}, TypeError, "denoiser: expected a tensor"),
        ({"denoiser": lambda x, s: x.numpy()}, TypeError, "denoiser: expected a tensor"),
        ({"levels": []}, ValueError, "levels: expected positive numbers"),
        ({"levels": [0.1, 0.0]}, ValueError, "levels: expected positive numbers"),
    ],
)
def test_errors_of_plug_and_play(arguments, error, message):
    with pytest.raises(error, match=message):
        restore.plug_and_play(observation(), PSF, **arguments)


def test_skimage_functions_without_a_noise_level_are_refused():
    from skimage.filters import gaussian

    with pytest.raises(ValueError, match="denoiser: skimage's gaussian has no noise level"):
        restore.plug_and_play(observation(), PSF, gaussian)


def test_a_denoiser_that_does_nothing_gives_least_squares():
    """With multipliers and D the minimiser of a quadratic, plug-and-play is Tikhonov."""
    weight, sigma, level = 1.0, 0.1, 0.1  # so that the penalty is 1
    shrink = 0.2
    restored = restore.plug_and_play(
        observation(),
        PSF,
        lambda x, _: x / (1 + shrink),
        multipliers=True,
        weight=weight,
        sigma=sigma,
        levels=[level],
        num_iter=60,
    )
    expected = restore.tikhonov(observation(), PSF, order=0, weight=shrink, num_iter=200)
    assert agreement(restored, expected) > 70
