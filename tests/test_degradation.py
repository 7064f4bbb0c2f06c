"""Degradation: sizes, noise of the stated strength and law, reproducible, of the given kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deconv.imaging import convolve, degrade, psf, psnr

GREY = np.full((160, 200), 0.4, np.float32)


def test_without_noise_it_is_the_blur():
    image = torch.rand(2, 3, 30, 31, generator=torch.Generator().manual_seed(0))
    h = psf.camera_shake(9, seed=1)
    for boundary in ("valid", "circular", "reflect"):
        torch.testing.assert_close(
            degrade(image, h, boundary=boundary), convolve(image, h, boundary=boundary), rtol=0, atol=0
        )


@pytest.mark.parametrize("noise", [0.005, 0.03])
def test_noise_has_the_stated_strength_and_is_white(noise):
    residual = degrade(GREY, psf.box(3), noise=noise, seed=1) - 0.4
    assert residual.shape == (158, 198)
    assert residual.std() == pytest.approx(noise, rel=0.02)
    assert abs(residual.mean()) < 4 * noise / np.sqrt(residual.size)
    neighbours = np.mean(residual[:, 1:] * residual[:, :-1]) / noise**2
    assert abs(neighbours) < 4 / np.sqrt(residual.size)


def test_each_sample_may_have_its_own_noise():
    batch = np.repeat(GREY[None, None], 3, 0)
    residual = degrade(batch, psf.box(1), noise=torch.tensor([0.0, 0.01, 0.05]), seed=0) - batch
    np.testing.assert_allclose(residual.std((1, 2, 3)), [0, 0.01, 0.05], rtol=0.02, atol=1e-7)


def test_photon_noise_has_the_variance_of_its_mean():
    ramp = np.repeat(np.linspace(0.1, 0.9, 5, dtype=np.float32), 4000).reshape(5, 4000)
    counted = degrade(ramp, psf.box(1), photons=500, seed=0)
    np.testing.assert_allclose(counted.var(1), ramp[:, 0] / 500, rtol=0.1)
    np.testing.assert_allclose(counted * 500, np.round(counted * 500), atol=1e-3)
    assert (degrade(np.zeros((40, 40)), psf.gaussian(3), photons=100, boundary="circular", seed=0) == 0).all()


def test_a_seed_fixes_the_noise_and_nothing_else_does():
    h = psf.box(3)
    one = degrade(GREY, h, noise=0.1, seed=7)
    state = torch.random.get_rng_state()
    np.testing.assert_array_equal(one, degrade(GREY, h, noise=0.1, seed=7))
    assert torch.equal(state, torch.random.get_rng_state())
    assert not np.array_equal(one, degrade(GREY, h, noise=0.1, seed=8))
    assert not np.array_equal(degrade(GREY, h, noise=0.1), degrade(GREY, h, noise=0.1))
    np.testing.assert_array_equal(one, degrade(GREY, h, noise=0.1, seed=torch.Generator().manual_seed(7)))


def test_integers_saturate_and_floats_do_not():
    white = np.full((50, 50), 255, np.uint8)
    noisy = degrade(white, psf.box(1), noise=0.1, seed=0)
    assert noisy.dtype == np.uint8
    assert (noisy == 255).mean() > 0.4
    assert degrade(white / 255, psf.box(1), noise=0.1, seed=0).max() > 1.1


def test_colour_is_blurred_channel_by_channel():
    colour = np.random.default_rng(0).random((20, 24, 3))
    together = degrade(colour, psf.motion(5, 30), boundary="reflect")
    for c in range(3):
        alone = degrade(np.ascontiguousarray(colour[..., c]), psf.motion(5, 30), boundary="reflect")
        assert psnr(together[..., c], alone) > 200


def test_volumes_are_blurred_in_three_dimensions():
    volume, h = np.random.default_rng(0).random((6, 20, 24)), torch.rand(3, 5, 4)
    h /= h.sum()
    expected = convolve(torch.from_numpy(volume)[None, None], h)[0, 0]
    np.testing.assert_allclose(degrade(volume, h), expected)
    noisy = degrade(volume, h, noise=0.1, seed=0)
    assert (noisy - expected.numpy()).std() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"noise": -0.1}, "noise: expected a standard deviation of at least 0, given -0.1"),
        ({"noise": float("nan")}, "noise: expected"),
        ({"noise": torch.ones(2)}, r"noise: expected one value or 1, given \(2,\)"),
        ({"photons": 0}, "photons: expected a positive number, given 0"),
        ({"boundary": "wrap"}, "boundary: unknown 'wrap', allowed are valid, circular, reflect, replicate, zero"),
        ({"boundary": "unknown"}, 'boundary: a blur needs to know .* "unknown" is for restorations; "valid" keeps'),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        degrade(GREY, psf.box(3), **options)


def test_negative_values_cannot_be_counted():
    with pytest.raises(ValueError, match="photons: only values of at least 0"):
        degrade(GREY - 1, psf.box(3), photons=10)
