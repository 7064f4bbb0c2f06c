"""Dask arrays restored chunk by chunk: lazily, measured once, equal to the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from restorations import PSF, agreement, photograph

from deconv import restore
from deconv.restore.streaming_statistics import streaming_statistics


@pytest.mark.parametrize("method", ["hyper_laplacian", "tikhonov"])
def test_chunks_of_a_dask_array_agree_with_the_whole(method):
    da = pytest.importorskip("dask.array")
    image = photograph()[:160, :150]
    lazy = restore.tiled(method, da.from_array(image, chunks=80), PSF, boundary="unknown", progress=False)
    assert isinstance(lazy, da.Array)
    assert (lazy.shape, lazy.dtype) == (image.shape, image.dtype)
    assert agreement(lazy.compute(), getattr(restore, method)(image, PSF)) > 50


@pytest.mark.parametrize("layout", ["H x W", "H x W x C", "C x H x W"])
def test_chunks_are_restored_on_a_device(layout, monkeypatch):
    da = pytest.importorskip("dask.array")
    seen = []

    def method(image, psf, **options):
        seen.append(image.device.type if isinstance(image, torch.Tensor) else "array")
        return restore.wiener(image, psf, **options)

    image = np.random.default_rng(0).random((3, 40, 30)).astype(np.float32)
    image = {"H x W": image[0], "H x W x C": image.transpose(1, 2, 0), "C x H x W": image}[layout]
    options = {"overlap": 5, "channel_axis": 0 if layout == "C x H x W" else None}
    chunks = tuple(20 if n > 3 else n for n in image.shape)
    expected, found = (
        np.asarray(restore.tiled(method, da.from_array(image, chunks), PSF, device=device, **options).compute())
        for device in (None, "cpu")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert set(seen[: len(seen) // 2]) == {"array"}
    assert set(seen[len(seen) // 2 :]) == {"cpu"}


def test_a_dask_array_is_read_when_computed_and_measured_once(monkeypatch):
    da = pytest.importorskip("dask.array")
    read, measured = [], []

    def source(block):
        read.append(block.shape)
        return block

    def counting(*arguments, **keywords):
        measured.append(arguments)
        return streaming_statistics(*arguments, **keywords)

    monkeypatch.setattr("deconv.restore.dask_tiles.streaming_statistics", counting)
    image = photograph()[:150, :140]
    chunks = da.from_array(image, chunks=75).map_blocks(source, meta=image[:0, :0])
    lazy = restore.tiled("tikhonov", chunks, PSF)
    assert lazy.numblocks == (2, 2)
    assert not read
    assert not measured
    restored = lazy.compute()
    assert len(measured) == 1
    assert agreement(restored, restore.tikhonov(image, PSF)) > 45


def test_dask_layouts_depths_and_tiles():
    da = pytest.importorskip("dask.array")
    image = photograph()[:150, :140]
    whole = restore.tiled("tikhonov", da.from_array(image), PSF, tile=75, mask="auto", sigma=0.01).compute()
    assert agreement(whole, restore.tikhonov(image, PSF, mask="auto", sigma=0.01)) > 45
    lazy = restore.tiled("tikhonov", da.from_array(np.stack([image] * 3, -1), chunks=(75, 75, 1)), PSF, sigma=0.01)
    assert lazy.numblocks == (2, 2, 1)
    assert agreement(lazy.compute()[..., 1], whole) > 100
    words = (65535 * image.clip(0, 1)).round().astype(np.uint16)
    restored = restore.tiled("tikhonov", da.from_array(words, chunks=75), PSF, sigma=0.01).compute()
    assert restored.dtype == np.uint16
    assert agreement(restored / 65535, whole.clip(0, 1)) > 55
    thin = image[:40]  # thinner than the overlap
    restored = restore.tiled("tikhonov", da.from_array(thin, chunks=20), PSF, sigma=0.01).compute()
    assert agreement(restored, restore.tikhonov(thin, PSF, sigma=0.01)) > 45


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out": np.zeros((60, 60))}, "out: not for a dask image"),
        ({"mask": np.ones((60, 60))}, 'mask: a dask image takes None or "auto", given ndarray'),
        ({"psf": PSF[None, None]}, "psf: a dask image takes one for the whole image"),
        ({"psf": lambda y, x: PSF}, "psf: a dask image takes one for the whole image"),
        ({"progress": True}, "progress: a dask image takes None or False"),
        ({"boundary": "zero"}, "boundary: tiles take 'unknown' only"),
    ],
)
def test_errors_for_dask_arrays(arguments, message):
    da = pytest.importorskip("dask.array")
    image = da.zeros((60, 60))
    with pytest.raises(ValueError, match=message):
        restore.tiled("wiener", image, **({"psf": PSF} | arguments))
    with pytest.raises(ValueError, match="image: the shape of a dask image must be known"):
        restore.tiled("wiener", image[image[:, 0] > 0], PSF)
