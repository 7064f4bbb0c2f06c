"""Psfs from beads, and on other grids: recovered from pictures that are simulated with a known one."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F

from deconv.cli import main as run
from deconv.imaging import psf
from deconv.imaging.psf.moments import centroid
from deconv.imaging.psf.shift import shifted
from deconv.imaging.stacks import read_volume

SHAPES = {2: (120, 130), 3: (24, 80, 90)}
TRUE = {
    2: psf.gaussian(1.8, 17),
    3: psf.gibson_lanni((9, 13, 13), wavelength=0.52, aperture=1.0, pixel=0.12, step=0.4),
}


def beads(space: int, *, offset: float = 100.0, extra: int = 0) -> np.ndarray:
    """Counts of beads on a grid with room between them, each somewhere between pixels; `extra` of double the size."""
    generator = np.random.default_rng(0)
    h = F.pad(TRUE[space].double(), [2] * 2 * space)
    image = torch.zeros(SHAPES[space], dtype=torch.float64)
    steps = [n + 6 for n in h.shape]
    places = np.stack(
        np.meshgrid(*[range(0, m - n, s) for m, n, s in zip(image.shape, h.shape, steps, strict=True)]), -1
    )
    for number, place in enumerate(places.reshape(-1, space)):
        spot = shifted(h, generator.uniform(-0.5, 0.5, space)) * generator.uniform(0.5, 1) * 20000 / h.max()
        if number < extra:  # a clump
            spot = (spot + spot.roll(3, -1)) / 2
        image[tuple(slice(p, p + n) for p, n in zip(place, h.shape, strict=True))] += spot
    return generator.poisson(image.clamp_min(0) + offset).clip(0, 65535).astype(np.uint16)


@pytest.mark.parametrize("space", [2, 3])
@pytest.mark.parametrize("extra", [0, 1])
def test_the_psf_of_beads_is_the_one_that_blurred_them(space, extra):
    h = TRUE[space]
    found, report = psf.from_beads(beads(space, extra=extra), tuple(h.shape))
    assert float((found - h).abs().max()) < 0.03 * float(h.max())
    assert float(found.sum()) == pytest.approx(1)
    assert report.fwhm == pytest.approx(psf.widths(h), rel=0.03)
    assert report.used + report.crowded + report.unlike + report.saturated == report.found
    assert report.unlike >= extra
    assert report.used >= 4


def test_beads_in_a_crowd_are_freed_of_each_others_light():
    """Anywhere in the picture: few windows have no other bead in them, and the median is no background."""
    generator = np.random.default_rng(1)
    h = TRUE[2]
    image = torch.zeros(160, 150, dtype=torch.float64)
    for place in generator.uniform(0, 1, (45, 2)) * [143, 133]:
        corner = place.astype(int)
        spot = shifted(F.pad(h.double(), [0, 1] * 2), (place - corner).tolist()) * generator.uniform(0.3, 1) / h.max()
        image[corner[0] : corner[0] + 18, corner[1] : corner[1] + 18] += spot
    found, report = psf.from_beads(generator.poisson(image.clamp_min(0) * 5000 + 100).astype(np.uint16), 17)
    assert report.used > 0.5 * report.found
    assert float((found - h).abs().max()) < 0.04 * float(h.max())
    assert float(centroid(found).abs().max()) < 0.05


def test_saturated_and_crowded_beads_are_left_out():
    image = beads(2)
    peak = np.unravel_index(image.argmax(), image.shape)
    image[peak] = 65535
    _, report = psf.from_beads(image, 17)
    assert report.saturated == 1
    assert "1 saturated" in str(report)
    with pytest.raises(ValueError, match="are too near to another or to the border for a window of 61 x 61"):
        psf.from_beads(image, 61)


@pytest.mark.parametrize(
    ("image", "size", "words"),
    [
        (np.zeros((9, 9)), 4, r"size: expected 2 odd numbers up to \(9, 9\), given 4"),
        (np.zeros((9, 9)), 11, "size: expected 2 odd numbers"),
        (np.zeros(9), 3, "image: expected H x W or D x H x W"),
        (np.zeros((9, 9)), 3, "of 0 points of light"),
    ],
)
def test_what_has_no_beads_is_refused(image, size, words):
    with pytest.raises(ValueError, match=words):
        psf.from_beads(image, size)


@pytest.mark.parametrize("d", [(0.5, 0.0), (0.3, -0.4), (2.0, 1.0)])
@pytest.mark.parametrize("even", [0, 1])
def test_moving_by_parts_of_a_pixel(d, even):
    h = F.pad(psf.gaussian(1.6, 15), [3, 3, 3, 3 + even])
    moved = shifted(h, d)
    torch.testing.assert_close(centroid(moved), torch.tensor(d).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(shifted(moved, [-x for x in d]), h.double(), atol=1e-4, rtol=0)
    back = psf.centre(moved)
    assert all(n % 2 for n in back.shape)
    assert float(centroid(back).abs().max()) < 1e-2


@pytest.mark.parametrize("size", [(16, 16), (16, 17), (20, 15)])
def test_a_symmetric_psf_of_even_size_is_moved_onto_a_pixel(size):
    """As other programs make them, with the centre between two pixels."""
    profiles = [np.exp(-((np.arange(n) - (n - 1) / 2) ** 2) / (2 * 1.8**2)) for n in size]
    found, report = psf.normalise(np.outer(*profiles))
    expected = psf.gaussian(1.8, tuple(n + 1 - n % 2 for n in size))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert "symmetric about a place between two pixels, moved by half of one" in str(report)
    box, _ = psf.normalise(np.ones((1, 4)))
    torch.testing.assert_close(box, torch.tensor([[0.125, 0.25, 0.25, 0.25, 0.125]]))


def test_even_sizes_of_our_own_stay_what_they_are():
    for h in (psf.gaussian(1.5, 16), psf.motion(9, 30, size=(14, 20))):
        found, report = psf.normalise(h)
        torch.testing.assert_close(found, h)
        assert "moved" not in str(report)


@pytest.mark.parametrize("factor", [0.5, 2, 1.3])
def test_resampling_keeps_the_psf(factor):
    found = psf.resample(psf.gaussian(3.0, 41), factor)
    expected = psf.gaussian(3.0 / factor, tuple(found.shape))
    assert float((found - expected).abs().max()) < 0.015 * float(expected.max())
    with pytest.raises(ValueError, match="factors: expected 2 positive numbers"):
        psf.resample(psf.gaussian(1.0), [1, 0])


def test_slices_in_the_order_of_the_stage_or_of_the_sample():
    given = {"wavelength": 0.6, "aperture": 1.2, "pixel": 0.2, "step": 0.4, "depth": 5.0}
    stage = psf.gibson_lanni((9, 7, 7), **given)
    sample = psf.gibson_lanni((9, 7, 7), **given, z="sample")
    torch.testing.assert_close(sample, stage.flip(0))
    assert float((sample - stage).abs().max()) > 0.1 * float(stage.max())
    with pytest.raises(ValueError, match="z: unknown 'up', allowed are stage, sample"):
        psf.gibson_lanni((9, 7, 7), **given, z="up")


@pytest.mark.parametrize("model", ["scalar", "vectorial"])
def test_the_order_of_the_sample_is_that_of_psfmodels(model):
    """Which gives the mean of nine points of each pixel, and interpolates these linearly."""
    psfmodels = pytest.importorskip("psfmodels")
    indices = {"NA": 1.2, "ni": 1.515, "ni0": 1.515, "ns": 1.33, "ng": 1.5, "ng0": 1.5}
    theirs = getattr(psfmodels, f"{model}_psf_centered")(
        15, dz=0.25, nx=15, dxy=0.1, pz=2, wvl=0.6, params=indices, normalize=True
    )
    given = {"wavelength": 0.6, "aperture": 1.2, "pixel": 0.1 / 3, "step": 0.25, "depth": 2.0}
    maker = psf.gibson_lanni if model == "scalar" else psf.vectorial
    ours = maker((15, 45, 45), **given, z="sample").unflatten(1, (15, 3)).unflatten(3, (15, 3)).mean((2, 4)).numpy()
    assert abs(ours / ours.max() - theirs / theirs.max()).max() < 0.006


def test_the_confocal_psf_is_that_of_psfmodels_on_fine_pixels():
    """There it takes the pinhole for a disk of whole pixels, which is round only where they are fine."""
    psfmodels = pytest.importorskip("psfmodels")
    indices = {"NA": 1.2, "ns": 1.33, "ng": 1.5, "ng0": 1.5}
    theirs = psfmodels.confocal_psf(5, 51, dxy=0.02, dz=0.25, ex_wvl=0.488, em_wvl=0.52, **indices)
    ours = psf.confocal((5, 51, 51), excitation=0.488, emission=0.52, aperture=1.2, pixel=0.02, step=0.25, z="sample")
    ours = ours.numpy()
    assert abs(ours / ours.max() - theirs / theirs.max()).max() < 0.005


def test_the_command_makes_and_measures_psfs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    widefield = ["gibson-lanni", "--na", "1.0", "--wavelength", "520nm", "--pixel", "120nm", "--step", "0.4um"]
    assert run(["psf", *widefield, "--size", "9x13x13", "-o", "h.tif"]) == 0
    out = capsys.readouterr().out
    assert "h.tif: Gibson and Lanni; 9 x 13 x 13; sum 1; centroid (+0.00" in out
    made = read_volume("h.tif")
    np.testing.assert_allclose(made.values, TRUE[3].numpy(), atol=1e-7)
    assert made.voxel.sizes() == pytest.approx((0.4e-6, 0.12e-6, 0.12e-6))
    tifffile.imwrite(
        "in.tif",
        beads(3),
        imagej=True,
        resolution=(1 / 0.12,) * 2,
        metadata={"axes": "ZYX", "spacing": 0.4, "unit": "um"},
    )
    assert run(["psf", "beads", "in.tif", "-o", "b.tif", "--size", "9x13x13"]) == 0
    assert "beads used" in capsys.readouterr().out
    assert read_volume("b.tif").voxel.sizes() == pytest.approx(made.voxel.sizes(), rel=1e-3)
    assert run(["psf", "resample", "h.tif", "-o", "r.tif", "--by", "2x1x1"]) == 0
    assert read_volume("r.tif").voxel.sizes()[0] == pytest.approx(0.8e-6)
    assert run(["psf", "crop", "h.tif", "-o", "c.tif", "--size", "9x7x7"]) == 0
    assert "of the light cut off; 9 x 7 x 7" in capsys.readouterr().out
    assert run(["psf", "make", "moffat:3,beta=3", "-o", "m.npy"]) == 0
    assert run(["psf", "centre", "m.npy", "-o", "m2.npy"]) == 0
    assert run(["psf", "show", "m2.npy"]) == 0
    assert "FWHM 3." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("crop h.npy -o o.npy --size 4x5", "--size: expected odd numbers up to 9 x 9, given 4x5"),
        ("crop h.npy -o o.npy --size 3x3x3", "--size: expected 2 whole numbers like 31x31"),
        ("resample h.npy -o o.npy --by a", "--by: expected a number, or one for each axis"),
        ("resample h.npy -o h.npy --by 2", "--output: h.npy is read; give another name"),
        ("make motion -o o.npy", "psf: 'motion' does not read as motion:length"),
    ],
)
def test_failures_are_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    np.save("h.npy", psf.gaussian(1.0).numpy())
    assert run(["psf", *arguments.split()]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "o.npy").exists()
