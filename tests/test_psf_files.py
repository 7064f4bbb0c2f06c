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
from deconv.imaging.psf.moments import centroid
from deconv.imaging.psf.shift import shifted

KERNEL = psf.camera_shake((9, 13), seed=4).numpy().astype(np.float64)
LEVELS = np.round(KERNEL / KERNEL.max() * 255).astype(np.uint8)


LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]])


def write_mat(path, **arrays):
    savemat(path, arrays)


def cells(*arrays):
    found = np.empty((1, len(arrays)), object)
    found[0] = arrays
    return found


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
        ("k.mat", lambda p: write_mat(p, psf=np.dstack([KERNEL, 2 * KERNEL])), np.stack([KERNEL, 2 * KERNEL])),
    ],
)
def test_every_format_gives_the_kernel_with_sum_1(tmp_path, name, write, expected):
    write(tmp_path / name)
    h, report = psf.from_file(tmp_path / name)
    np.testing.assert_allclose(h, expected / expected.sum(), atol=1e-7)
    assert h.dtype == torch.float32
    assert report.total == pytest.approx(expected.sum(), rel=1e-6)
    assert report.moved == (0,) * expected.ndim


def test_volumes_are_psfs_too(tmp_path):
    volume = np.random.default_rng(0).random((3, 4, 5))
    np.save(tmp_path / "k.npy", volume)
    np.testing.assert_allclose(psf.from_file(tmp_path / "k.npy")[0], volume / volume.sum(), rtol=1e-6)
    tifffile.imwrite(tmp_path / "k.tif", volume.astype(np.float32), photometric="minisblack")
    np.testing.assert_allclose(psf.from_file(tmp_path / "k.tif")[0], volume / volume.sum(), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_slices_that_a_file_declares_to_be_colours_are_not_averaged(tmp_path, dtype):
    """As tifffile writes three slices that it is told nothing of."""
    slices = (np.stack([LEVELS // 4, LEVELS, LEVELS // 4])).astype(dtype)
    tifffile.imwrite(tmp_path / "k.tif", slices, photometric="rgb", planarconfig="separate")
    with pytest.raises(ValueError, match=r"k.tif: it is a colour picture, whose colours differ by 75% of the peak"):
        psf.from_file(tmp_path / "k.tif")


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-1, 4)])
def test_recentring_by_whole_pixels_loses_nothing(shift):
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
    torch.testing.assert_close(moved, straight.roll((-shift[0], -shift[1]), (2, 3)), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("sigma", "tolerance"), [(0.5, 0.25), (0.7, 0.07), (1.0, 5e-3), (2.0, 1e-5)])
@pytest.mark.parametrize("offset", [(0.3, -0.2), (2.45, 1.0), (-0.4, 3.1, 0.4)])
def test_recentring_to_a_part_of_a_pixel_gives_the_psf_itself(sigma, tolerance, offset):
    """That of a Gaussian in the middle, from one off it, both integrated over pixels; narrow ones are undersampled."""

    def spot(places, sizes):
        values = torch.ones(())
        for place, size in zip(places, sizes, strict=True):
            edges = (torch.arange(size + 1).double() - size / 2 - place) / sigma
            values = values[..., None] * torch.special.ndtr(edges).diff()
        return values / values.sum()

    h, report = psf.normalise(spot(offset, [25] * len(offset)), recentre=True)
    assert report.moved == pytest.approx([-d for d in offset], abs=0.01)
    assert not report.linear
    assert float(h.min()) >= 0
    expected = spot([0] * len(offset), h.shape)
    assert float((h - expected).abs().max()) < tolerance * float(expected.max())


def test_recentring_lines_as_thin_as_a_pixel_does_not_ring():
    line = psf.motion(12, 20)
    given = torch.zeros(15, 21)
    given[: line.shape[0], 3 : 3 + line.shape[1]] = line
    given[0, 2] = 0.2
    h, report = psf.normalise(given, recentre=True)
    assert report.linear
    assert str(report).endswith("to the centre, interpolated linearly, as its lines or edges are sharp")
    torch.testing.assert_close(centroid(h), torch.zeros(2), atol=1e-5, rtol=0)
    lit = torch.nn.functional.max_pool2d((given > 0).float()[None], 3, 1, 1).sum()
    assert int((h > 0).sum()) <= lit


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
    off = shifted(psf.gaussian(1, 11), (0.3, 0.0)).clamp_min(0)
    assert "centroid (+0.3, +0.0) pixels off the centre, which moves the image by as much" in str(psf.normalise(off)[1])


def bead(size, sigma: float, offset: float) -> np.ndarray:
    """The picture of a point that a camera with an offset takes: counts, 1000 at most."""
    grids = np.meshgrid(*(np.arange(n) - (n - 1) // 2 for n in size), indexing="ij")
    profile = np.exp(-sum(g**2 for g in grids) / (2 * sigma**2))
    return np.random.default_rng(0).poisson(1000 * profile + offset).astype(np.uint16)


@pytest.mark.parametrize("offset", [20, 100, 300])
@pytest.mark.parametrize(("size", "centre"), [((31, 31), (0, 0)), ((40, 31), (-4, 3)), ((16, 32, 31), (0, 0, 0))])
def test_the_background_of_a_measured_psf_comes_off(size, centre, offset):
    counts = np.roll(bead(size, 1.8, offset), centre, tuple(range(len(size))))
    h, report = psf.normalise(counts)
    truth = np.roll(bead(size, 1.8, 0), centre, tuple(range(len(size))))
    assert report.background == pytest.approx(offset, abs=1.5)
    assert report.background_share == pytest.approx(1 - truth.sum() / counts.sum(), abs=0.1)
    assert np.abs(h.numpy() - truth / truth.sum()).sum() < 0.35
    assert f"background of {report.background:.4g}, {report.background_share:.0%} of its sum, subtracted" in str(report)
    np.testing.assert_allclose(report.offset, centre, atol=0.3)


@pytest.mark.parametrize(
    "clean",
    [
        psf.gaussian(1.8, 31),
        psf.gaussian(3.5, 9),
        psf.gaussian(40.0, 15),
        psf.moffat(3.0),
        psf.kolmogorov(2.5),
        psf.airy(3.0),
        psf.box(9),
        psf.box((8.5, 11)),
        psf.disk(5),
        psf.motion(15),
        psf.motion(15, 30),
        psf.camera_shake(21, seed=2),
        psf.defocus(2.0, 1.5),
        psf.gibson_lanni((9, 17, 17), wavelength=0.52, aperture=1.2, pixel=0.1, step=0.3),
    ],
)
def test_a_psf_without_background_stays_what_it_is(clean):
    h, report = psf.normalise(clean)
    assert report.background_share == 0
    torch.testing.assert_close(h, clean)


def test_counts_without_an_offset_stay_what_they_are():
    counts = bead((31, 31), 1.8, 0)
    assert psf.normalise(counts)[1].background_share == 0


@pytest.mark.parametrize(
    ("h", "said"),
    [
        (psf.gaussian(3.5, 9), True),
        (psf.gaussian(6.0, 15), True),
        (psf.gaussian(2.0), False),
        (psf.box(9), False),
        (psf.disk(5), False),
        (psf.motion(15, 30), False),
        (psf.motion(15), False),
    ],
)
def test_a_psf_that_its_window_cuts_off_is_told(h, said):
    assert ("cut off by its window" in str(psf.normalise(h)[1])) == said


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
        ("k.mat", lambda p: p.write_bytes(b"MATLAB 7.3 MAT-file"), "7.3 ask for the package h5py|the file is damaged"),
        (
            "k.mat",
            lambda p: write_mat(p, a=KERNEL, b=KERNEL),
            "expected one array, or one called psf; it holds a, b",
        ),
        ("k.mat", lambda p: write_mat(p, text="words"), "it holds none"),
        ("k.mat", lambda p: write_mat(p, kernels=cells(KERNEL, KERNEL)), r"kernels \(a cell array of 2; save the psf"),
        ("k.mat", lambda p: write_mat(p, s={"psf": KERNEL}), r"s \(a struct; save the psf in it as an array\)"),
        ("k.npy", lambda p: np.save(p, LAPLACIAN), "what lies below zero is 100% of what lies above; it is no blur"),
        ("k.npy", lambda p: np.save(p, np.zeros((2, 3), np.uint8)), "no value is above zero"),
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
