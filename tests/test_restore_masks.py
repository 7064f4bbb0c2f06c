"""Pixels that tell nothing: masked, clipped, not finite, or struck by a cosmic ray."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
import torch
from restorations import PSF, ROWS, agreement, latent_image, observation

from deconv import restore
from deconv.cli import main as run
from deconv.imaging import degrade, write_image
from deconv.imaging.psf import disk, gaussian, motion
from deconv.restore.pixel_mask import outliers, read_masked
from deconv.restore.statistics import Statistics

RAYS = [(20, 30), (45, 25), (70, 60)]
QUICK = ["wiener", "tikhonov", "richardson_lucy", "total_variation", "hyper_laplacian", "l0_gradient"]


@functools.cache
def blurred() -> np.ndarray:
    return degrade(latent_image(), gaussian(1.6), noise=0.01, seed=1)


def struck(height: float = 100.0) -> np.ndarray:
    image = blurred().copy()
    for row, column in RAYS:
        image[row, column] += height
    return image


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("mask", [None, "auto"])
def test_cosmic_rays_do_no_harm(name, mask):
    method = ROWS[name]
    expected = method(blurred(), gaussian(1.6))
    if mask is None:
        with pytest.warns(restore.RestorationWarning, match=r"image: 3 of its \d+ values stand out"):
            found = method(struck(), gaussian(1.6))
    else:
        found = method(struck(), gaussian(1.6), mask=mask)
    assert agreement(found, expected) > 35
    everything = np.ones(blurred().shape, bool)
    assert agreement(method(struck(), gaussian(1.6), mask=everything), expected) < 20


@pytest.mark.parametrize("psf", [gaussian(1.2), gaussian(1.6), disk(3.0), motion(9, 0), motion(9, 30)], ids=range(5))
def test_outliers_are_what_the_psf_cannot_have_made(psf):
    stars = latent_image().copy()
    stars[30, 40] = stars[60, 20] = 500  # as bright as the rays are once blurred
    image = torch.from_numpy(degrade(stars, psf, noise=0.01, seed=0))[None, None]
    clean = outliers(image, psf, Statistics.of(image))
    assert int(clean.sum()) == 0
    for value in (20.0, -20.0):
        image[..., 50, 50] = value
        found = outliers(image, psf, Statistics.of(image))
        assert found.nonzero().tolist() == [[0, 0, 50, 50]]


def test_hits_of_two_by_two_pixels_are_found():
    image = torch.from_numpy(blurred())[None, None].clone()
    image[..., 40:42, 50:52] += 5
    found = outliers(image, gaussian(1.6), Statistics.of(image))
    assert int(found.sum()) == 4
    assert bool(found[..., 40:42, 50:52].all())


@pytest.mark.parametrize("shape", [(2, 3, 20, 30), (1, 2, 7, 9, 11)])
def test_a_few_pixels_are_judged_like_all_of_them(shape, monkeypatch):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0)) ** 30  # few are bright
    psf = torch.ones((3,) * (len(shape) - 2)) / 3 ** (len(shape) - 2)
    statistics = Statistics.of(image, 0.01)
    likely = outliers(image, psf, statistics)
    monkeypatch.setattr("deconv.restore.pixel_mask._FEW", 0)
    every = outliers(image, psf, statistics)
    assert torch.equal(likely, every)
    among = torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.3
    among[..., 0], among[..., -1] = True, True  # at the border, too
    assert bool((every & among).any())
    assert torch.equal(outliers(image, psf, statistics, among=among), every & among)


def test_a_sharp_image_keeps_its_points():
    point = torch.zeros(3, 3, dtype=torch.float64)
    point[1, 1] = 1
    image = torch.from_numpy(latent_image())[None, None].clone()
    image[..., 40, 40] = 50
    assert not outliers(image, point, Statistics.of(image)).any()


def test_what_a_mask_leaves_out_need_not_be_finite():
    mask = np.ones(observation().shape, bool)
    mask[10:13, 20:24] = False
    image = np.where(mask, observation(), np.nan)
    for method in (restore.richardson_lucy, restore.total_variation):
        expected = method(np.where(mask, observation(), 7.0), PSF, mask=mask, sigma=0.01)
        np.testing.assert_array_equal(method(image, PSF, mask=mask, sigma=0.01), expected)
        assert agreement(method(image, PSF, mask="auto", sigma=0.01), expected) > 60
    tiles = restore.tiled("tikhonov", image, PSF, mask=mask, sigma=0.01)
    np.testing.assert_allclose(tiles, restore.tikhonov(image, PSF, mask=mask, sigma=0.01), atol=1e-6)
    mask[10, 20] = True
    with pytest.raises(ValueError, match="image: 1 of its values are NaN or infinite where the mask is not 0"):
        restore.wiener(image, PSF, mask=mask)
    with pytest.raises(ValueError, match=r"image: 12 of its 6808 values are NaN or infinite; .* left out by mask="):
        restore.wiener(image, PSF)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.float32])
def test_masks_of_zeros_and_ones_count_alike(dtype):
    mask = np.random.default_rng(0).random(observation().shape) > 0.01
    image = np.where(mask, observation(), 1.0)
    expected = restore.total_variation(image, PSF, mask=mask)
    np.testing.assert_array_equal(restore.total_variation(image, PSF, mask=mask.astype(dtype)), expected)
    tiles = restore.tiled("total_variation", image, PSF, mask=mask.astype(dtype))
    np.testing.assert_allclose(tiles, expected, atol=1e-5)
    if dtype == np.uint8:
        np.testing.assert_array_equal(restore.total_variation(image, PSF, mask=255 * mask.astype(dtype)), expected)


@pytest.mark.parametrize("unit", [1e-15, 1.0, 255.0, 40000.0])
def test_highlights_are_seen_in_any_unit(unit):
    over = (1.6 * observation()).clip(0, 1)
    *_, clipped = read_masked(unit * over, PSF, mask="auto")
    assert float((clipped[0, 0] > 0).double().mean()) == pytest.approx((over == 1).mean(), abs=0.01)
    restored = restore.tikhonov(unit * over, PSF, mask="auto")
    assert agreement(restored / unit, restore.tikhonov(over, PSF, mask="auto")) > 60
    assert not (read_masked(unit * 0.7 * observation(), PSF, mask="auto")[3] > 0).any()


def test_white_may_be_told():
    image = 100 * observation()
    for mask in ("auto", None, np.ones(image.shape)):
        *_, clipped = read_masked(image, PSF, mask=mask, white=60.0)
        np.testing.assert_array_equal(clipped[0, 0] > 0, image >= 60 * 254 / 255)
    with pytest.raises(ValueError, match="white: expected a positive number, given 0"):
        restore.wiener(image, PSF, mask="auto", white=0)


@pytest.mark.parametrize("value", [1.0, 255.0])
def test_a_picture_that_is_white_all_over_stays_white(value):
    np.testing.assert_allclose(restore.tikhonov(np.full((20, 20), value), PSF, mask="auto"), value, rtol=1e-3)
    white = np.full((20, 20), 255, np.uint8)
    np.testing.assert_array_equal(restore.tikhonov(white, PSF, mask="auto"), white)


def test_tiles_agree_on_white():
    """It is that of the whole, also where a tile has but few clipped pixels."""
    over = 40 * (1.6 * observation()).clip(0, 1)
    tiles = restore.tiled("tikhonov", over, PSF, tile=48, mask="auto", sigma=0.4)
    assert agreement(tiles / 40, restore.tikhonov(over, PSF, mask="auto", sigma=0.4) / 40) > 35


def test_the_command_says_it_in_one_line(tmp_path, capsys):
    write_image(tmp_path / "in.tif", struck().astype(np.float32))
    deblur = ["deblur", str(tmp_path / "in.tif"), "-o", str(tmp_path / "out.tif"), "--psf", "gaussian:1.6", "-q"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run([*deblur, "--method", "wiener"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("deconv: image: 3 of its")
    assert said.count("\n") == 1


@pytest.mark.parametrize("method", [restore.wiener, restore.tikhonov, restore.unsupervised_wiener])
def test_a_linear_filter_says_that_stars_make_it_ring(method):
    psf = gaussian(1.6)
    stars = latent_image().copy()
    method(degrade(stars, psf, noise=0.01, seed=0), psf)  # a warning would be an error
    stars[30, 40] = stars[60, 20] = 1e4
    with pytest.warns(restore.RestorationWarning, match="a few bright points.* ripples"):
        method(degrade(stars, psf, noise=0.01, seed=0), psf)


class Frame:
    """What `NDData` and `CCDData` of astropy have."""

    def __init__(self, data, unit=None, wcs=None, meta=None, mask=None, uncertainty=None):
        self.data, self.unit, self.wcs, self.meta = data, unit, wcs, meta
        self.mask, self.uncertainty, self.shape, self.ndim = mask, uncertainty, data.shape, data.ndim


def test_the_mask_that_an_array_carries_counts():
    y = observation()
    bad = np.zeros(y.shape, bool)
    bad[20:23, 30:32] = True
    expected = restore.richardson_lucy(y, PSF, num_iter=3, mask=~bad)
    y[bad] = 500
    restored = restore.richardson_lucy(np.ma.masked_array(y, bad), PSF, num_iter=3)
    assert isinstance(restored, np.ma.MaskedArray)
    assert not np.ma.is_masked(restored)
    np.testing.assert_allclose(restored, expected)
    frame = Frame(y, unit="adu", wcs="sky", meta={"EXPTIME": 3}, mask=bad)
    restored = restore.richardson_lucy(frame, PSF, num_iter=3)
    assert (type(restored), restored.unit, restored.wcs, restored.mask) == (Frame, "adu", "sky", None)
    np.testing.assert_allclose(restored.data, expected)
    more = np.ones(y.shape, bool)
    more[0] = False  # beside the array's own
    both = restore.richardson_lucy(frame, PSF, num_iter=3, mask=more)
    np.testing.assert_allclose(both.data, restore.richardson_lucy(y, PSF, num_iter=3, mask=more & ~bad))


def test_frames_of_astropy():
    nddata = pytest.importorskip("astropy.nddata")
    y = observation()
    bad = np.zeros(y.shape, bool)
    bad[20:23, 30:32] = True
    y[bad] = np.nan
    frame = nddata.CCDData(y, unit="adu", mask=bad, meta={"OBJECT": "M 31"})
    restored = restore.wiener(frame, PSF)
    assert isinstance(restored, nddata.CCDData)
    assert (restored.meta["OBJECT"], restored.mask) == ("M 31", None)
    np.testing.assert_allclose(restored.data, restore.wiener(np.where(bad, 0, y), PSF, mask=~bad))


@pytest.mark.parametrize("name", ["wiener", "total_variation", "hyper_laplacian", "tiled", "frames"])
def test_what_missing_pixels_are_filled_with_tells_no_noise(name):
    """Of a frame that has most of its values missing, the rest is restored as where its noise is told."""
    image, mask = blurred().copy(), np.ones(blurred().shape)
    mask[len(mask) * 2 // 5 :] = 0
    image[mask == 0] = 0
    if name == "tiled":
        method = functools.partial(restore.tiled, "hyper_laplacian", tile=64, progress=False)
    elif name == "frames":
        method = restore.hyper_laplacian
        image, mask = [image] * 2, [mask] * 2
    else:
        method = ROWS[name]
    found, told = (method(image, gaussian(1.6), mask=mask, **more) for more in ({}, {"sigma": 0.01}))
    assert agreement(found[:30], told[:30]) > 35
