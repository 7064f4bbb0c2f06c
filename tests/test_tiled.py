"""Restoration tile by tile: equal to the whole, for any layout, in memory that does not grow."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch
from restorations import PSF, agreement, photograph

from deconv import restore
from deconv.imaging import degrade, psnr
from deconv.imaging.psf import camera_shake, gaussian, motion
from deconv.restore.psf_field import PsfField
from deconv.restore.run import RestorationWarning
from deconv.restore.statistics import Statistics
from deconv.restore.streaming_statistics import spatial_positions, streaming_statistics
from deconv.restore.tile_overlap import tile_overlap


@pytest.mark.parametrize("method", ["hyper_laplacian", "richardson_lucy", "tikhonov", "total_variation", "wiener"])
def test_tiles_agree_with_the_whole(method):
    image = photograph()
    tiles = restore.tiled(method, image, PSF, tile=128)
    assert tiles.dtype == image.dtype
    # The Wiener filter, which smooths least, reaches farther: here the frame is but twice as wide as its reach.
    assert agreement(tiles, getattr(restore, method)(image, PSF)) > (48 if method == "wiener" else 50)


@pytest.mark.parametrize("method", ["hyper_laplacian", "richardson_lucy"])
def test_tiles_agree_with_the_whole_under_a_large_psf(method):
    from skimage import data

    psf = camera_shake(27, seed=2)
    image = degrade(data.camera()[100:400, 100:440] / np.float32(255), psf, noise=0.01, seed=0)
    tiles = restore.tiled(method, image, psf, tile=150)
    assert agreement(tiles, getattr(restore, method)(image, psf)) > 50


def test_the_overlap_of_richardson_lucy_follows_what_its_iterations_spread():
    """Each blurs and transposes, a walk of two steps: its width grows like the root of their number."""
    row, frame = restore.METHODS["richardson_lucy"], (100, 900, 900)
    wide, narrow = torch.zeros(15, 41, 41), torch.zeros(15, 41, 41)
    wide[7, 20, ::40] = wide[0, 20, 20] = narrow[7, 20, 20] = 1
    wide[7, 20, 20] = 18  # a standard deviation of 6.2 pixels in the plane
    for steps in (4, 16, 49):
        z, y, x = tile_overlap(row, PsfField(wide), frame, {"num_iter": steps})
        assert x == min(math.ceil(2.5 * math.sqrt(800 / 21) * math.sqrt(steps)), 3 * 41)
        assert (y, tile_overlap(row, PsfField(narrow), frame, {"num_iter": steps})) == (16, [16, 16, 16])
        assert z == max(16, math.ceil(7 / 21 + 2.5 * math.sqrt(49 / 21 - 1 / 9) * math.sqrt(steps)))
    # By default thirty iterations; of a field the widest psf counts; and methods that invert see farther.
    assert tile_overlap(row, PsfField(wide), frame, {}) == tile_overlap(row, PsfField(wide), frame, {"num_iter": 30})
    corner = PsfField(lambda z, y, x: wide if x < 10 else narrow)
    assert tile_overlap(row, corner, frame, {}) == tile_overlap(row, PsfField(wide), frame, {})
    assert tile_overlap(restore.METHODS["wiener"], PsfField(narrow), frame, {}) == [60, 164, 164]


@pytest.mark.parametrize(("tile", "overlap"), [(24, None), (24, 60), ((20, 70), None)])
def test_tiles_smaller_than_their_overlap_agree_with_the_whole_all_the_same(tile, overlap):
    image = photograph()[:100, :90]
    tiles = restore.tiled("total_variation", image, PSF, tile=tile, overlap=overlap, num_iter=15)
    assert agreement(tiles, restore.total_variation(image, PSF, num_iter=15)) > 60


def test_a_psf_for_each_place_of_a_volume():
    volume = np.stack([photograph()[:30, :30]] * 12)
    psf = PSF[None] * torch.tensor([0.25, 0.5, 0.25])[:, None, None]
    expected = restore.tiled("tikhonov", volume, psf, tile=20)
    np.testing.assert_array_equal(restore.tiled("tikhonov", volume, lambda z, y, x: psf, tile=20), expected)
    with pytest.raises(ValueError, match="psf: expected a function of y and x, or of z, y and x, given one of 1"):
        restore.tiled("tikhonov", volume, lambda place: psf)


def test_a_given_noise_level_goes_before_the_statistics():
    da = pytest.importorskip("dask.array")
    image = photograph()[:60, :60]
    given = {"sigma": 0.05, "statistics": Statistics.of(torch.from_numpy(image)[None, None])}
    expected = restore.tikhonov(image, PSF, **given)
    for kind in (np.asarray, da.from_array):
        np.testing.assert_allclose(restore.tiled("tikhonov", kind(image), PSF, **given), expected, atol=1e-5)


def test_one_tile_is_the_whole():
    image = photograph()
    np.testing.assert_allclose(restore.tiled("wiener", image, PSF), restore.wiener(image, PSF), atol=1e-5)


@pytest.mark.parametrize("shape", [(90, 70), (7, 41), (1, 30), (64, 50, 3)])
@pytest.mark.parametrize("different", [0, 2**17], ids=["values", "counts"])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("stars", [False, True])
def test_statistics_of_strips_are_those_of_the_whole(shape, different, linear, stars, monkeypatch):
    from deconv.imaging.srgb import to_linear

    monkeypatch.setattr("deconv.restore.streaming_statistics._STRIP", 500)
    monkeypatch.setattr("deconv.restore.streaming_statistics._DIFFERENT", different)
    image = np.random.default_rng(0).random(shape)
    if stars:
        image[..., ::20] *= 100 * np.arange(1, 1 + image[..., ::20].shape[-1])
    batch = torch.from_numpy(image if image.ndim == 2 else np.moveaxis(image, -1, 0))[(None,) * (4 - image.ndim)]
    expected = Statistics.of(to_linear(batch) if linear else batch)
    found = streaming_statistics(image, spatial_positions(image, 2), PSF, linear=linear)
    for field in fields(Statistics):
        torch.testing.assert_close(getattr(found, field.name), getattr(expected, field.name))


def test_a_sparse_volume_is_read_a_few_times(monkeypatch):
    """However many rounds of sigma clipping it takes: its values are counted in one."""
    monkeypatch.setattr("deconv.restore.streaming_statistics._STRIP", 500)
    rng = np.random.default_rng(0)
    volume = rng.poisson(0.2, (12, 20, 30)).astype(np.uint16)
    for power in range(10):  # every round finds others far
        volume[power, 3:9, 4] = 30 * 2**power
    planes = []

    class Watched(np.ndarray):
        def __getitem__(self, index):
            part = np.asarray(self)[index]
            planes.append(part.shape[0])
            return part

    found = streaming_statistics(volume.view(Watched), [0, 1, 2], PSF[None])
    expected = Statistics.of(torch.from_numpy(volume.astype(np.float64))[None, None] / 65535)
    assert found.contour_limit is None
    assert expected.contour_limit is None
    for name in (field.name for field in fields(Statistics) if field.name != "contour_limit"):
        torch.testing.assert_close(getattr(found, name).double(), getattr(expected, name), rtol=1e-5, atol=0)
    assert sum(planes) <= 4 * len(volume)


def test_layouts_depths_and_masks():
    image = photograph()[:150, :140]
    whole = restore.tiled("tikhonov", image, PSF, tile=70)
    colour = restore.tiled("tikhonov", np.stack([image] * 3, -1), PSF, tile=70)
    assert agreement(colour[..., 1], whole) > 100
    batch = restore.tiled("tikhonov", torch.from_numpy(image)[None, None], PSF, tile=70)
    assert agreement(batch[0, 0], whole) > 100
    words = restore.tiled("tikhonov", (65535 * image.clip(0, 1)).round().astype(np.uint16), PSF, tile=70)
    assert words.dtype == np.uint16
    assert agreement(words / 65535, whole.clip(0, 1)) > 55
    mask = np.ones(image.shape, bool)
    mask[60:80, 60:80] = False
    hidden = restore.tiled("tikhonov", np.where(mask, image, 7), PSF, tile=70, mask=mask, sigma=0.01)
    expected = restore.tikhonov(image, PSF, mask=mask, sigma=0.01)
    assert agreement(hidden, expected) > 45


def test_a_volume_in_tiles():
    volume = np.stack([photograph()[:56, :44]] * 12)
    psf = PSF[None] * torch.tensor([0.25, 0.5, 0.25])[:, None, None]
    assert agreement(restore.tiled("tikhonov", volume, psf, tile=(12, 28, 44)), restore.tikhonov(volume, psf)) > 45


def test_memory_maps_are_read_and_written(tmp_path):
    np.save(tmp_path / "in.npy", photograph())
    image = np.load(tmp_path / "in.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, image.shape)
    out[:] = np.nan
    assert restore.tiled("wiener", image, PSF, tile=100, out=out) is out
    np.testing.assert_allclose(out, restore.tiled("wiener", photograph(), PSF, tile=100), atol=1e-5)


def test_tiff_files_are_read_and_written(tmp_path):
    import tifffile

    words = (65535 * photograph()[:120, :110].clip(0, 1)).round().astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", words)
    image = tifffile.memmap(tmp_path / "in.tif", mode="r")
    out = tifffile.memmap(tmp_path / "out.tif", shape=image.shape, dtype=image.dtype)
    assert restore.tiled("tikhonov", image, PSF, tile=70, out=out) is out
    out.flush()
    expected = restore.tiled("tikhonov", words, PSF, tile=70)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), expected)


def test_a_grid_of_psfs_is_interpolated():
    wide, narrow = gaussian(2.0, 13).double(), gaussian(0.5, 13).double()
    field = PsfField(torch.stack([torch.stack([wide, narrow])]))
    frame = (100, 200)
    torch.testing.assert_close(field((10, 0), frame), wide)
    torch.testing.assert_close(field((50, 49.5), frame), wide)
    torch.testing.assert_close(field((50, 149.5), frame), narrow)
    torch.testing.assert_close(field((50, 99.5), frame), (wide + narrow) / 2)


def test_each_place_has_its_own_psf():
    from skimage import data

    sharp = data.camera()[:260, :300] / np.float32(255)
    left, right = motion(9, 0), motion(9, 90)
    size = max(*left.shape, *right.shape)

    def padded(psf):
        rows, columns = ((size - n) // 2 for n in psf.shape)
        return torch.nn.functional.pad(psf, (columns, columns, rows, rows))

    psfs = torch.stack([torch.stack([padded(left), padded(right)])])
    halves = [degrade(sharp, psf, noise=0.005, seed=0) for psf in psfs[0]]
    middle = halves[0].shape[1] // 2
    observed = np.concatenate([halves[0][:, :middle], halves[1][:, middle:]], 1)
    margin = size // 2
    truth = sharp[margin:-margin, margin:-margin]
    away = np.r_[0 : middle - 40, middle + 40 : observed.shape[1]]
    by_grid = restore.tiled("tikhonov", observed, psfs)
    by_function = restore.tiled(
        "tikhonov", observed, lambda y, x: psfs[0, int(x >= middle)], tile=(1024, -(-observed.shape[1] // 2))
    )
    uniform = restore.tikhonov(observed, psfs[0, 0])
    for restored in (by_grid, by_function):
        assert psnr(restored[:, away], truth[:, away]) > psnr(uniform[:, away], truth[:, away]) + 3


def test_memory_does_not_grow_with_the_image(tmp_path):
    """Beyond what the first image takes, restoring one of eight times its pixels takes as much."""
    code = (
        "import resource, sys, numpy as np, torch\n"
        "from deconv import restore\n"
        "torch.set_num_threads(1)\n"
        "for n in (512, 4096):\n"
        "    files = [sys.argv[1] + f'/{name}{n}.npy' for name in ('in', 'out')]\n"
        "    image, out = (np.lib.format.open_memmap(file, 'w+', np.uint8, (n, 256)) for file in files)\n"
        "    image[:] = np.arange(256, dtype=np.uint8)\n"
        "    restore.tiled('wiener', image, np.full((3, 3), 1 / 9), tile=256, out=out)\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    # Freed buffers go back to the system at once, so that the peak is of what is in use.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    first, then = map(int, said.split())
    assert then - first < 40_000  # kB; as a whole the larger one takes 100 MB more


def test_the_command_line_restores_in_tiles(tmp_path):
    from deconv.cli import main as run
    from deconv.imaging import read_image, write_image

    write_image(tmp_path / "in.tif", photograph())
    for name, flags in (("whole.tif", []), ("tiles.tif", ["--tiles", "128"])):
        command = ["deblur", str(tmp_path / "in.tif"), "-o", str(tmp_path / name), "--psf", "motion:7,30", "--quiet"]
        assert run([*command, "--method", "tikhonov", *flags]) == 0
    whole, tiles = (read_image(tmp_path / name) for name in ("whole.tif", "tiles.tif"))
    assert 46 < agreement(whole, tiles) < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tile": 0}, "tile: expected a whole number of at least 1"),
        ({"tile": 16.5}, "tile: expected a whole number of at least 1"),
        ({"overlap": -1}, "overlap: expected a whole number of at least 0"),
        ({"boundary": "zero"}, "boundary: tiles take 'unknown' only, given 'zero'"),
        ({"out": np.zeros((3, 3))}, "out: expected the image's shape"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        restore.tiled("wiener", photograph(), PSF, **arguments)
    image = photograph()
    with pytest.raises(ValueError, match="out: must not be the image itself"):
        restore.tiled("wiener", image, PSF, out=image)


def test_tiles_that_restore_every_pixel_many_times_over_are_told():
    image = photograph()[:32, :32]
    with pytest.warns(RestorationWarning, match="of 4 x 4 pixels, restored with 24 x 24 more .* every pixel 60 times"):
        restore.tiled("wiener", image, PSF, tile=4, overlap=24)
    restore.tiled("wiener", image, PSF, tile=24, overlap=24)
