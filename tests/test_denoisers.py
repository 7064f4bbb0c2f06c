"""Denoisers, and plug-and-play with them: ours, and others as they are."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from restorations import PSF, agreement, field_of_view, latent_image, observation, random

from deconv import restore
from deconv.imaging import psnr
from deconv.restore import damping, denoisers


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


@pytest.mark.parametrize(("gain", "offset"), [(1000.0, 0.0), (4.0, -2.0)])
def test_a_network_sees_images_in_the_unit_interval(gain, offset):
    class Shrink(torch.nn.Module):
        """Not the same in any unit."""

        def forward(self, x, sigma):
            seen.append((float(x.min()), float(x.max()), sigma))
            return x - 0.1 * sigma * x**3

    seen = []
    span = np.ptp(observation())
    normal = (observation() - observation().min()) / span
    expected = restore.plug_and_play(normal, PSF, Shrink(), num_iter=4)
    other = restore.plug_and_play(gain * normal + offset, PSF, Shrink(), num_iter=4)
    np.testing.assert_allclose((other - offset) / gain, expected, atol=1e-6)
    lows, highs, _ = zip(*seen, strict=True)
    assert min(lows) > -0.5
    assert max(highs) < 1.5


def test_a_network_on_another_device_is_asked_there():
    class Elsewhere(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones((), dtype=torch.float32, device="meta"))

        def forward(self, x, sigma):
            seen.append((x.device.type, x.dtype))
            return torch.ones(x.shape)  # what comes back from a meta device would have no values

    seen = []
    restore.plug_and_play(observation(), PSF, Elsewhere(), num_iter=1)
    assert seen == [("meta", torch.float32)]


def _sharpened(x, sigma):
    """Denoised, but with more contrast in its details than there was: expansive."""
    clean = denoisers.dct_denoise(x, sigma)
    padded = torch.nn.functional.pad(clean, (2, 2, 2, 2), mode="replicate")
    return clean + 0.6 * (clean - torch.nn.functional.avg_pool2d(padded, 5, 1))


@pytest.mark.parametrize("options", [{}, {"multipliers": True}, {"levels": [0.1, 0.05, 0.02], "num_iter": 20}], ids=str)
def test_an_expansive_denoiser_does_not_make_plug_and_play_collapse(options, monkeypatch):
    def scores():
        found = []
        restored = restore.plug_and_play(
            observation(), PSF, _sharpened, callback=lambda _, z: found.append(psnr(z, field_of_view())), **options
        )
        assert psnr(restored, field_of_view()) == found[-1]
        return found

    with pytest.warns(RuntimeWarning, match="denoiser: its steps grow"):
        damped = scores()
    monkeypatch.setattr(damping.DampedSteps, "__call__", lambda self, iterate, level: (iterate, None))
    free = scores()
    assert free[-1] < max(free) - 10
    assert damped[-1] > max(max(free) - 5, free[-1] + 8)


def test_an_iterate_that_is_not_finite_is_left_out():
    steps = damping.DampedSteps()
    level = torch.full((2, 1, 1, 1), 0.1)
    first, second = torch.zeros(2, 1, 3, 3), torch.full((2, 1, 3, 3), 0.01)
    steps(first, level)
    steps(second, level)
    bad = torch.full_like(second, 0.015)
    bad[1, 0, 0, 0] = torch.nan
    with pytest.warns(RuntimeWarning, match="denoiser: its steps grow"):
        kept, damped = steps(bad, level)
    assert torch.equal(kept[0], bad[0])
    assert torch.equal(kept[1], second[1])
    assert damped.flatten().tolist() == [False, True]


@pytest.mark.parametrize("name", ["", *SKIMAGE])
def test_denoisers_that_contract_are_not_damped(name, monkeypatch):
    """The result is the same, bit for bit."""
    from skimage import restoration

    denoiser = getattr(restoration, name) if name else None
    image = observation()[:64, :64]
    for options in ({}, {"multipliers": True}, {"levels": [0.1, 0.05, 0.02], "num_iter": 16}):
        guarded = restore.plug_and_play(image, PSF, denoiser, **options)
        with monkeypatch.context() as context:
            context.setattr(damping.DampedSteps, "__call__", lambda self, iterate, level: (iterate, None))
            assert np.array_equal(guarded, restore.plug_and_play(image, PSF, denoiser, **options))


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
