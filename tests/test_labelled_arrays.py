"""Arrays of xarray and dask: what goes in comes out, with its names, coordinates and chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deconv import degrade, psnr, restore
from deconv.imaging import as_image_batch, estimate_noise, psf
from deconv.restore import tiled

RNG = np.random.default_rng(0)
PSF = psf.gaussian(1.0, 5)
IMAGE = RNG.random((3, 24, 20)).astype(np.float32)


@pytest.fixture
def xarray():
    return pytest.importorskip("xarray")


@pytest.fixture
def labelled(xarray):
    """Three channels with all that a `DataArray` can say."""
    places = {"y": 0.1 * np.arange(24), "x": 0.2 * np.arange(20), "gain": ("c", [1.0, 2.0, 3.0]), "exposure": 0.5}
    coords = {"c": ["red", "green", "blue"], **places}
    return xarray.DataArray(IMAGE, coords, ("c", "y", "x"), "photons", {"units": "adu"})


def same(found, labelled, values):
    """Whether an array has these values and all else of another."""
    assert found.dims == labelled.dims
    assert found.attrs == labelled.attrs
    assert found.name == labelled.name
    assert found.coords.identical(labelled.coords)
    np.testing.assert_array_equal(np.asarray(found), values)
    return True


@pytest.mark.parametrize("method", [restore.wiener, restore.richardson_lucy])
def test_names_and_coordinates_are_kept(labelled, method):
    assert same(method(labelled, PSF), labelled, method(IMAGE, PSF, channel_axis=0))
    assert same(method(labelled, PSF, channel_axis=0), labelled, method(IMAGE, PSF, channel_axis=0))


@pytest.mark.parametrize("order", [("y", "x", "c"), ("y", "c", "x"), ("c", "y", "x")])
def test_channels_are_told_by_their_name(labelled, order):
    turned = labelled.transpose(*order)
    expected = np.asarray(restore.wiener(labelled, PSF).transpose(*order))
    assert same(restore.wiener(turned, PSF), turned, expected)
    assert psnr(turned, turned + 0.1) == pytest.approx(20, abs=1e-3)
    assert estimate_noise(turned) == pytest.approx(estimate_noise(IMAGE, channel_axis=0))


def test_volumes_and_times(xarray):
    stack, h = RNG.random((2, 2, 6, 12, 10)).astype(np.float32), PSF[None]
    given = xarray.DataArray(stack, dims=("time", "Channel", "z", "y", "x"))
    assert same(restore.wiener(given, h), given, restore.wiener(stack, h))
    assert same(restore.wiener(given[0, 0], h), given[0, 0], restore.wiener(stack[0, 0], h))


def test_without_names_it_is_the_array(xarray):
    picture = np.ascontiguousarray(IMAGE.transpose(1, 2, 0))
    assert same(restore.wiener(xarray.DataArray(picture), PSF), xarray.DataArray(picture), restore.wiener(picture, PSF))


def test_names_that_say_no_channels_are_refused(xarray, labelled):
    times = xarray.DataArray(IMAGE, dims=("time", "y", "x"))
    words = "image: its dims are time, y, x; expected one called c, channel, channels, band, or channel_axis="
    for restored in (restore.wiener, lambda *given: tiled("wiener", *given), degrade):
        with pytest.raises(ValueError, match=words):
            restored(times, PSF)
    assert restore.wiener(times, PSF, channel_axis=0).dims == ("time", "y", "x")
    with pytest.raises(ValueError, match="channel_axis: the dims of image are c, y, x, given 2"):
        restore.wiener(labelled, PSF, channel_axis=2)


def test_of_a_smaller_result_the_coordinates_of_what_is_left_are_kept(labelled):
    blurred = degrade(labelled, PSF)
    assert blurred.shape == (3, 20, 16)
    assert set(blurred.coords) == {"c", "gain", "exposure"}


def test_integers_and_masks(labelled):
    counts = (labelled * 255).astype(np.uint8)
    restored = restore.wiener(counts, PSF, mask=(labelled[0] > 0.1))
    assert restored.dtype == np.uint8
    expected = restore.wiener(counts.values, PSF, mask=IMAGE[0] > 0.1, channel_axis=0)
    np.testing.assert_array_equal(restored.values, expected)


def test_several_frames(labelled):
    frames = [labelled, labelled + np.float32(0.01)]
    expected = restore.wiener([frame.values for frame in frames], PSF, channel_axis=0)
    assert same(restore.wiener(frames, PSF), labelled, expected)


def test_tiles_keep_the_names_too(labelled):
    whole = restore.wiener(IMAGE, PSF, channel_axis=0)
    in_tiles = tiled("wiener", labelled, PSF, tile=12)
    assert same(in_tiles, labelled, tiled("wiener", IMAGE, PSF, tile=12, channel_axis=0))
    assert abs(in_tiles.values - whole).mean() < 0.02
    out = np.zeros_like(IMAGE)
    assert tiled("wiener", labelled, PSF, out=out) is out


def test_lazy_labelled_arrays_stay_lazy(labelled):
    da = pytest.importorskip("dask.array")
    lazy = labelled.chunk({"y": 12})
    restored = tiled("wiener", lazy, PSF)
    assert isinstance(restored.data, da.Array)
    assert restored.dims == labelled.dims
    assert restored.coords.identical(labelled.coords)
    np.testing.assert_allclose(restored.compute().values, restore.wiener(IMAGE, PSF, channel_axis=0), atol=0.05)


@pytest.mark.parametrize("chunks", [(3, 12, 10), -1])
def test_a_dask_array_comes_out_of_a_method_as_one(chunks):
    da = pytest.importorskip("dask.array")
    given = da.from_array(IMAGE, chunks)
    restored = restore.wiener(given, PSF, channel_axis=0)
    assert isinstance(restored, da.Array)
    assert restored.chunks == given.chunks
    np.testing.assert_array_equal(restored.compute(), restore.wiener(IMAGE, PSF, channel_axis=0))
    smaller = degrade(given, PSF, channel_axis=0)
    assert isinstance(smaller, da.Array)
    assert smaller.shape == (3, 20, 16)


@pytest.mark.parametrize("mask", [None, "given", "auto"])
def test_the_mask_that_an_array_carries_counts_in_tiles(mask):
    bad = np.zeros((24, 20), bool)
    bad[10:12, 8:9] = True
    more = np.ones((24, 20), bool)
    more[0] = False
    damaged = np.where(bad, 900, IMAGE[0]).astype(np.float32)
    given = {None: None, "given": more, "auto": "auto"}[mask]
    plain = {None: ~bad, "given": more & ~bad, "auto": "auto"}[mask]
    values = np.where(bad, np.nan, damaged) if mask == "auto" else damaged
    expected = tiled("wiener", values, PSF, tile=12, mask=plain)
    restored = tiled("wiener", np.ma.masked_array(damaged, bad), PSF, tile=12, mask=given)
    assert isinstance(restored, np.ma.MaskedArray)
    np.testing.assert_allclose(restored.data, expected, rtol=1e-6)


def test_frames_of_astropy_in_tiles():
    nddata = pytest.importorskip("astropy.nddata")
    bad = np.zeros((24, 20), bool)
    bad[10:12, 8:9] = True
    frame = nddata.CCDData(IMAGE[0], unit="adu", mask=bad, meta={"OBJECT": "M 31"})
    restored = tiled("wiener", frame, PSF, tile=12)
    assert isinstance(restored, nddata.CCDData)
    assert (restored.unit, restored.meta["OBJECT"]) == ("adu", "M 31")


def test_a_psf_with_names(xarray):
    named = xarray.DataArray(PSF.numpy(), dims=("y", "x"))
    np.testing.assert_array_equal(restore.wiener(IMAGE[0], named), restore.wiener(IMAGE[0], PSF))
    assert torch.equal(as_image_batch(xarray.DataArray(IMAGE[0]))[0], as_image_batch(IMAGE[0])[0])
