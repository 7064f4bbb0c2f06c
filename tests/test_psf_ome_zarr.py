"""Psfs in OME-Zarr: one for each channel, and none for each time."""

from __future__ import annotations

import numpy as np
import pytest

from deconv.imaging import write_stack
from deconv.imaging.picture import Volume, VoxelSize
from deconv.imaging.psf.stored import read_psfs

pytest.importorskip("zarr")


@pytest.mark.parametrize("times", [0, 1])
def test_psfs_of_channels_are_read_from_a_folder(tmp_path, times):
    random = np.random.default_rng(0)
    z, y, x = np.ogrid[-4:5, -5:6, -5:6]
    psfs = [np.exp(-s * (z**2 + y**2 + x**2)) * random.uniform(0.9, 1.1, (9, 11, 11)) for s in (1, 2)]
    axes, values = ("TCZYX", np.stack(psfs)[None]) if times else ("CZYX", np.stack(psfs))
    voxel = VoxelSize(0.2, (10.0, 10.0), "um")
    write_stack(tmp_path / "h.ome.zarr", values, like=Volume(values, voxel, axes), bits=64)
    found, told = read_psfs(tmp_path / "h.ome.zarr")
    assert told is not None
    assert told.sizes() == pytest.approx((2e-7, 1e-7, 1e-7))
    assert len(found) == 2
    for (h, _), expected in zip(found, psfs, strict=True):
        np.testing.assert_allclose(h, expected / expected.sum(), rtol=1e-4, atol=1e-9)


def test_a_psf_in_a_folder_has_no_times(tmp_path):
    values = np.ones((2, 3, 5, 5), np.float32)
    write_stack(tmp_path / "h.ome.zarr", values, like=Volume(values, None, "TZYX"))
    with pytest.raises(ValueError, match=r"h.ome.zarr.*its axes are TZYX; a psf has no times"):
        read_psfs(tmp_path / "h.ome.zarr")
