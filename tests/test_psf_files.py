"""Psfs from files: every format, scaled and centred, with a true word on what was done."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy.io import savemat
from skimage.data import camera

from deconv.imaging import convolve, psf

KERNEL = psf.camera_shake((9, 13), seed=4).numpy().astype(np.float64)
LEVELS = np.round(KERNEL / KERNEL.max() * 255).astype(np.uint8)


def write_mat(path, **arrays):
    savemat(path, arrays)


@pytest.mark.parametrize(
    ("name", "write", "expected"),
    [
        ("k.png", lambda p: Image.fromarray(LEVELS).save(p), LEVELS),
        ("k.png", lambda p: Image.fromarray(np.dstack([LEVELS] * 3)).save(p), LEVELS),
        ("k.tif", lambda p: Image.fromarray(KERNEL.astype(np.float32)).save(p), KERNEL),
        ("k.npy", lambda p: np.save(p, KERNEL), KERNEL),
        ("k.npy", lambda p: np.save(p, LEVELS.astype(int)), LEVELS),
        ("k.mat", lambda p: write_mat(p, anything=KERNEL), KERNEL),
        ("k.mat", lambda p: write_mat(p, image=np.ones((30, 30)), Kernel=LEVELS), LEVELS),
        ("k.mat", lambda p: write_mat(p, f=KERNEL, gain=3.0), KERNEL),
    ],
)
def test_every_format_gives_the_kernel_with_sum_1(tmp_path, name, write, expected):
    write(tmp_path / name)
    h, report = psf.from_file(tmp_path / name)
    np.testing.assert_allclose(h, expected / expected.sum(), atol=1e-7)
    assert h.dtype == torch.float32
    assert report.total == pytest.approx(expected.sum(), rel=1e-6)
    assert report.moved == (0, 0)


def test_volumes_are_psfs_too(tmp_path):
    volume = np.random.default_rng(0).random((3, 4, 5))
    np.save(tmp_path / "k.npy", volume)
    np.testing.assert_allclose(psf.from_file(tmp_path / "k.npy")[0], volume / volume.sum(), rtol=1e-6)
    tifffile.imwrite(tmp_path / "k.tif", volume.astype(np.float32), photometric="minisblack")
    np.testing.assert_allclose(psf.from_file(tmp_path / "k.tif")[0], volume / volume.sum(), rtol=1e-6)


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-1, 4)])
def test_recentring_moves_by_whole_pixels_and_loses_nothing(shift):
    wide = np.zeros((21, 24))
    wide[6:15, 5:18] = KERNEL
    wide = np.roll(wide, shift, (0, 1))
    h, report = psf.normalise(wide, recentre=True)
    assert all(s % 2 for s in h.shape)
    torch.testing.assert_close(h[h > 0].sort().values, torch.tensor(KERNEL[KERNEL > 0]).float().sort().values)
    _, again = psf.normalise(h)
    assert max(map(abs, again.offset)) <= 0.5
    assert report.moved == (-shift[0], -shift[1])
    # Blurring with it is blurring with the original one, moved.
    image = torch.from_numpy(camera()[:60, :70] / 255.0)[None, None]
    moved = convolve(image, h.double(), boundary="circular")
    straight = convolve(image, torch.from_numpy(wide / wide.sum()), boundary="circular")
    torch.testing.assert_close(moved, straight.roll(report.moved, (2, 3)), atol=1e-6, rtol=0)


def test_the_report_is_one_true_line():
    crooked = np.zeros((8, 7))
    crooked[6, 5], crooked[0, 0] = 4.0, -0.04
    kept, moved = psf.normalise(crooked)[1], psf.normalise(crooked, recentre=True)[1]
    assert str(kept) == (
        "8 x 7, divided by its sum 4, 1.00% below zero cut off, "
        "centroid (+3.0, +2.0) pixels off the centre, which moves the image by as much"
    )
    assert str(moved).startswith(
        "1 x 1, divided by its sum 4, 1.00% below zero cut off, centroid moved from (+3.0, +2.0)"
    )
    assert str(psf.normalise(psf.gaussian(1))[1]) == "9 x 9"


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        (np.ones(5), ValueError, r"psf: expected two or three axes, given the shape \(5,\)"),
        (np.array([[1.0, np.nan]]), ValueError, "psf: some values are NaN or infinite"),
        (np.zeros((3, 3)), ValueError, "psf: no value is above zero"),
        (-np.ones((3, 3)), ValueError, "psf: no value is above zero"),
        (np.ones((3, 3), complex), TypeError, "psf: expected real numbers"),
        (np.array([["a"]]), TypeError, "psf: expected real numbers, given <U1"),
    ],
)
def test_what_is_no_psf_is_refused(values, error, words):
    with pytest.raises(error, match=words):
        psf.normalise(values)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("k.mat", lambda p: p.write_bytes(b"not at all"), "it is not a MATLAB file of version 5 to 7"),
        ("k.mat", lambda p: p.write_bytes(b"MATLAB 7.3 MAT-file"), "version 7.3 are not read"),
        (
            "k.mat",
            lambda p: write_mat(p, a=KERNEL, b=KERNEL),
            "expected one array, or one called psf; it holds a, b",
        ),
        ("k.mat", lambda p: write_mat(p, text="words"), "it holds none"),
        ("k.npy", lambda p: np.save(p, np.ones(5)), "expected two or three axes"),
        ("k.npy", lambda p: np.save(p, np.array([[None]]), allow_pickle=True), "allow_pickle"),
        ("k.png", lambda p: p.write_bytes(b"text"), "it is not an image"),
    ],
)
def test_files_without_a_psf_are_refused_by_name(tmp_path, name, write, words):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=words) as caught:
        psf.from_file(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        psf.from_file(tmp_path / "k.png")
