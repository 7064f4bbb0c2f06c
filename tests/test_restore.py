"""Properties of every restoration method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from restorations import PSF, ROWS, agreement, corner, field_of_view, latent_image, observation

from deconv import restore
from deconv.imaging import degrade, psnr
from deconv.imaging.boundary import BOUNDARIES
from deconv.imaging.psf import gaussian
from deconv.imaging.srgb import to_srgb


@pytest.fixture(params=ROWS)
def method(request):
    return ROWS[request.param]


def test_it_restores(method):
    gain = psnr(method(observation(), PSF), field_of_view()) - psnr(observation(), field_of_view())
    assert gain > method.gain


@pytest.mark.filterwarnings("ignore:network. its result leaves")  # there is no noise to compare it with
def test_a_delta_psf_returns_the_image(method):
    delta = np.zeros((5, 7))
    delta[2, 3] = 1
    assert psnr(method(latent_image(), delta, sigma=0), latent_image()) > method.exact
    assert psnr(method(latent_image(), delta), latent_image()) > 38


def test_a_shifted_psf_shifts_the_result(method):
    psf = torch.nn.functional.pad(PSF, (2, 2, 2, 2))
    moved = psf.roll((1, -2), (0, 1))
    there, here = (method(observation("circular"), p, boundary="circular") for p in (moved, psf))
    assert psnr(np.roll(there, (1, -2), (0, 1)), here) > method.steady
    # Unknown boundary: what comes into view at the border is not the same.
    there, here = (method(observation(), p) for p in (moved, psf))
    assert psnr(np.roll(there, (1, -2), (0, 1)), here, border=10) > min(method.steady, 55)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_constants_stay_constant(method, boundary):
    for value in (0.0, 0.3):
        if boundary == "zero" and value:
            continue  # then it is not the blur of a constant
        image = np.full((20, 31), value)
        np.testing.assert_allclose(method(image, PSF, boundary=boundary), value, atol=1e-4)


@pytest.mark.parametrize(
    ("unit", "dtype"),
    [(4095.0, np.float64), (1e-30, np.float32), (1e30, np.float32), (1e-100, np.float64)],
)
def test_the_unit_of_the_image_does_not_matter(method, unit, dtype):
    """Fluxes, counts and grey values: everything follows the image, whatever it is multiplied by."""
    restored = method(corner().astype(dtype), PSF)
    again = method((unit * corner()).astype(dtype), PSF)
    assert again.dtype == dtype
    assert psnr(again / np.float64(unit), restored) > min(method.close, 60)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_constants_have_no_unit(method, unit):
    flat = np.full((20, 31), 0.3 * unit, np.float32)
    np.testing.assert_allclose(method(flat, PSF), flat, rtol=3e-3)
    assert not method(np.zeros((20, 31), np.float32), PSF).any()


def test_layouts_agree(method):
    channels = [corner(), corner()[::-1], corner() ** 2]
    apart = np.stack([method(channel, PSF) for channel in channels])
    together = {
        "H x W x C": np.moveaxis(method(np.stack(channels, -1), PSF), -1, 0),
        "C x H x W": method(torch.from_numpy(np.stack(channels)), PSF).numpy(),
        "B x C x H x W": method(np.stack(channels)[:, None], PSF)[:, 0],
        "B x H x W, grey": method(np.stack([channels, channels]), PSF)[1],
    }
    for layout, restored in together.items():
        # Some methods average what they estimate over the channels.
        floor = (method.apart if layout != "B x C x H x W" else None) or method.close
        assert agreement(restored, apart) > floor, layout


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
def test_dtypes_agree(method, dtype):
    image = corner().clip(0, 1)
    scale = {np.uint8: 255, np.uint16: 65535}.get(dtype)
    given = (image * scale).round().astype(dtype) if scale else image.astype(dtype)
    restored = method(given, PSF)
    assert restored.dtype == dtype
    back = restored.astype(np.float64) / (scale or 1)
    assert psnr(back, method(image, PSF).clip(0, 1) if scale else method(image, PSF)) > min(method.close, 38)


@pytest.mark.filterwarnings("ignore::deconv.restore.RestorationWarning")  # two pixels of "saturated" are outliers
@pytest.mark.parametrize(
    "name", ["zeros", "ones", "saturated", "row", "column", "pixel", "psf-sized", "noise", "negative"]
)
@pytest.mark.filterwarnings("ignore:image. .* of its values are negative")
def test_odd_images_give_finite_results(method, name):
    image = {
        "zeros": np.zeros((20, 20)),
        "ones": np.ones((20, 20)),
        "saturated": (observation()[:30, :30] > 0.5).astype(float),
        "row": observation()[:1],
        "column": observation()[:, :1],
        "pixel": observation()[:1, :1],
        "psf-sized": observation()[:5, :7],
        "noise": np.random.default_rng(0).random((16, 16)),
        "negative": observation()[:20, :20] - 0.7,
    }[name].astype(np.float32)
    # What has few pixels meets every boundary; odd values meet two.
    for boundary in BOUNDARIES if max(image.shape) < 16 else ("unknown", "reflect"):
        restored = method(image, PSF, boundary=boundary)
        assert restored.shape == image.shape
        assert np.isfinite(restored).all(), boundary
        assert np.abs(restored).max() < 60, boundary


def test_runs_are_bit_identical(method):
    np.testing.assert_array_equal(method(corner(), PSF), method(corner(), PSF))


@pytest.mark.parametrize("boundary", BOUNDARIES[1:])
def test_knowing_the_boundary_does_not_hurt(method, boundary):
    observed = observation(boundary)
    unknown, known = (psnr(method(observed, PSF, boundary=b), latent_image()) for b in ("unknown", boundary))
    margin = 1.5 if method.method.name == "wiener" else 0.3  # it knows the circular one only
    assert known > unknown - margin
    if boundary == "circular":
        assert known > unknown + 0.2


def test_masked_pixels_are_filled_in_and_never_looked_at(method):
    mask = np.ones(observation().shape, bool)
    mask[20:26, 30:40] = False
    mask[::7, ::5] = False
    sigma = 0.01
    restored = method(np.where(mask, observation(), 1.0), PSF, mask=mask, sigma=sigma)
    again = method(np.where(mask, observation(), -3.0), PSF, mask=mask, sigma=sigma)
    np.testing.assert_array_equal(restored, again)
    assert psnr(restored, field_of_view()) > psnr(method(observation(), PSF, sigma=sigma), field_of_view()) - 1.2


def test_clipped_highlights_are_left_out_by_themselves(method):
    lamps = latent_image().copy()
    lamps[30:33, 20:24] = lamps[60:63, 50:52] = 20
    observed = degrade(lamps, PSF, noise=0.005, seed=0).clip(0, 1)
    away = np.ones(field_of_view().shape, bool)
    away[20:42, 8:34] = away[50:72, 38:62] = False

    def error(image):
        return np.sqrt(np.square(image - field_of_view())[away].mean())

    assert error(method(observed, PSF, mask="auto", sigma=0.005)) < error(method(observed, PSF, sigma=0.005))


def test_each_sample_has_its_own_noise(method):
    batch = np.stack([observation(), observation() + 0.05 * np.random.default_rng(0).standard_normal((92, 74))])[
        :, None
    ]
    together = method(batch, PSF, sigma=np.array([0.01, 0.05]))
    for sample, image, sigma in zip(together, batch, (0.01, 0.05), strict=True):
        assert agreement(sample[0], method(image[0], PSF, sigma=sigma)) > method.close


def test_each_sample_and_channel_may_have_its_own_psf(method):
    psfs = torch.stack([PSF, PSF.flip(1)])
    batch = np.stack([corner(), corner()[::-1]])
    by_sample = method(batch[:, None], psfs[:, None], sigma=0.01)[:, 0]
    by_channel = method(batch[None], psfs[None], sigma=0.01)[0]
    for restored in (by_sample, by_channel):
        for one, image, psf in zip(restored, batch, psfs, strict=True):
            assert psnr(one, method(image, psf, sigma=0.01)) > method.close


def test_linear_restores_light(method):
    light = torch.from_numpy(corner().clip(0, 1))[None, None]
    by_hand = to_srgb(method(light, PSF))
    assert psnr(method(to_srgb(light), PSF, linear=True), by_hand) > method.close


def test_volumes(method):
    if not method.method.volumes:
        pytest.skip("not for volumes")
    volume = gaussian(6, 41)[None] * torch.linspace(0, 8, 12)[:, None, None] * 60
    volume = volume + torch.from_numpy(latent_image()[:41, :41]).float()
    psf = gaussian(1.0, 5)[None] * torch.tensor([0.25, 0.5, 0.25])[:, None, None]
    blurred = degrade(volume.numpy(), psf, noise=0.005, seed=0, boundary="circular")
    restored = method(blurred, psf, boundary="circular")
    assert restored.shape == blurred.shape
    assert psnr(restored, volume.numpy()) > psnr(blurred, volume.numpy()) + 0.5


def test_gradients_flow_to_image_and_psf(method):
    image = torch.from_numpy(observation()[:24, :20]).requires_grad_()
    psf = PSF.clone().requires_grad_()
    method(image, psf, sigma=0.01, num_iter=3).square().sum().backward()
    for tensor in (image, psf):
        assert bool(tensor.grad.isfinite().all())
        assert float(tensor.grad.abs().sum()) > 0


def test_autocast_lowers_nothing(method):
    image, psf = corner()[:24, :20].astype(np.float32), PSF.float()
    expected = method(image, psf, num_iter=2)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(method(image, psf, num_iter=2), expected)


def test_statistics_of_the_whole_serve_its_pieces(method):
    whole = torch.from_numpy(corner())[None, None]
    statistics = restore.Statistics.of(whole)
    restored = method(whole, PSF, statistics=statistics)
    assert psnr(restored, method(whole, PSF)) > 100
