"""Stacks with channels and times, from file to file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from restorations import latent_image

from deconv.cli import main as run
from deconv.imaging import degrade, psf, read_stack, write_image, write_stack
from deconv.imaging.hyperstack import from_samples, to_samples
from deconv.imaging.picture import Volume, VoxelSize
from deconv.imaging.stacks import read_volume
from deconv.restore import richardson_lucy

RNG = np.random.default_rng(0)
RED, GREEN = (psf.gaussian(s, 5)[None] * torch.tensor([0.25, 0.5, 0.25])[:, None, None] for s in (0.8, 1.2))


def counts(*shape: int) -> np.ndarray:
    """Beads on a camera's offset."""
    values = np.full(shape, 100.0)
    values[..., 3, 8:12, 9:12] = 20000 + 10000 * RNG.random((*shape[:-3], 4, 3))
    return degrade(values.reshape(-1, *shape[-3:])[:, None], GREEN, boundary="reflect").reshape(shape).astype(np.uint16)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, h in (("red.tif", RED), ("green.tif", GREEN)):
        tifffile.imwrite(name, h.numpy(), photometric="minisblack")
    return tmp_path


def deblur(*arguments: str) -> int:
    return run(["deblur", *arguments, "-m", "richardson_lucy", "--iterations", "3"])


@pytest.mark.parametrize("axes", ["TZCYX", "TCZYX", "CZYX", "ZCYX", "ZYX", "CYX", "YX", "ZTCYX"])
@pytest.mark.parametrize("space", [2, 3])
def test_samples_and_back(axes, space):
    sizes = {"T": 2, "C": 3, "Z": 4, "Y": 5, "X": 6}
    stack = RNG.random([sizes[axis] for axis in axes])
    if space == 3 and "Z" not in axes:
        with pytest.raises(ValueError, match=rf"its axes are {axes}, no slices \(Z\)"):
            to_samples(stack, axes, space)
        return
    samples = to_samples(stack, axes, space)
    assert samples.ndim == space + 2
    np.testing.assert_array_equal(from_samples(samples, stack.shape, axes, space), stack)
    smaller = samples[..., 1:-1]  # as a valid blur leaves it
    np.testing.assert_array_equal(from_samples(smaller, stack.shape, axes, space), stack[..., 1:-1])


@pytest.mark.parametrize(("axes", "shape"), [("TZCYX", (2, 7, 2, 20, 18)), ("ZCYX", (7, 2, 20, 18))])
def test_each_channel_and_time_of_an_imagej_stack_is_restored_by_its_psf(folder, capsys, axes, shape):
    order = [axes.index(axis) for axis in "TCZYX" if axis in axes]
    stack = np.ascontiguousarray(counts(*[shape[i] for i in order]).transpose(np.argsort(order)))
    said = {"axes": axes, "spacing": 0.3, "unit": "um", "mode": "composite"}
    tifffile.imwrite("in.tif", stack, imagej=True, resolution=(10, 5), metadata=said)
    assert deblur("in.tif", "-o", "out.tif", "--psf", "red.tif", "--psf", "green.tif") == 0
    times = "2 times, " if "T" in axes else ""
    assert f"20 x 18 stack of {times}2 channels, 7 slices, 16 bits" in capsys.readouterr().out
    before, after = read_volume("in.tif"), read_volume("out.tif")
    assert (after.axes, after.voxel, after.program, after.notes) == (axes, before.voxel, "imagej", before.notes)
    assert after.values.dtype == np.float32
    planes = [stack.take(0, 0) if "T" in axes else stack, after.values.take(0, 0) if "T" in axes else after.values]
    for channel, h in enumerate((RED, GREEN)):
        given, restored = (values.take(channel, 1) for values in planes)
        expected = richardson_lucy(given / np.float32(65535), h, num_iter=3) * 65535
        assert abs(restored - expected).max() < 0.02 * expected.max()  # the noise is told of all channels
        assert restored.sum() == pytest.approx(given.sum(), rel=0.02)  # in the camera's counts


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("from_file_to_file", [False, True])
def test_the_offset_of_the_camera_is_told_in_its_counts(folder, monkeypatch, dtype, from_file_to_file):
    stack = counts(7, 20, 18).astype(dtype)
    tifffile.imwrite("in.tif", stack, photometric="minisblack")
    if from_file_to_file:
        monkeypatch.setattr("deconv.imaging.decoding.MAX_PIXELS", 100)
    assert deblur("in.tif", "-o", "out.tif", "--psf", "red.tif", "--background", "100", "--no-clipped") == 0
    expected = richardson_lucy(stack.astype(np.float32), RED, num_iter=3, background=100)
    np.testing.assert_allclose(tifffile.imread("out.tif"), expected, atol=1e-3 * expected.max())
    assert expected.min() < 10  # the result is without it


def test_a_method_without_a_background_says_so(folder, capsys):
    tifffile.imwrite("in.tif", counts(7, 20, 18), photometric="minisblack")
    assert run(["deblur", "in.tif", "-o", "out.tif", "--psf", "red.tif", "--background", "100"]) == 2
    assert "--background: hyper_laplacian does not take it" in capsys.readouterr().err


def test_an_ome_file_stays_one(folder):
    stack = counts(2, 7, 20, 18)
    said = {"axes": "CZYX", "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.3}
    channels = {"Channel": {"Name": ["DAPI", "GFP"]}, "TimeIncrement": 2.0}
    tifffile.imwrite("in.ome.tif", stack, ome=True, photometric="minisblack", metadata=said | channels)
    before = read_volume("in.ome.tif")
    assert (before.channels, before.voxel.unit, before.voxel.spacing) == (("DAPI", "GFP"), "nm", 0.3)
    assert deblur("in.ome.tif", "-o", "out.tif", "--psf", "green.tif", "--quiet") == 0
    after = read_volume("out.tif")
    assert (after.program, after.axes, after.channels, after.voxel) == ("ome", "CZYX", before.channels, before.voxel)
    assert after.notes == before.notes


def test_a_psf_of_two_axes_restores_the_planes(folder):
    frames = np.stack([latent_image()[:40, :30] * level for level in (0.5, 1.0)]).astype(np.float32)
    tifffile.imwrite("in.tif", frames, imagej=True, metadata={"axes": "TYX"})
    assert deblur("in.tif", "-o", "out.tif", "--psf", "gaussian:1", "--sigma", "1%", "--quiet") == 0
    after = read_volume("out.tif")
    assert after.axes == "TYX"
    expected = [richardson_lucy(frame, psf.gaussian(1), num_iter=3, sigma=0.01) for frame in frames]
    np.testing.assert_allclose(after.values, np.stack(expected), atol=1e-5)


def test_the_channel_axis_of_a_numpy_file_is_asked_for(folder, capsys):
    np.save("in.npy", counts(2, 7, 20, 18))
    arguments = ("in.npy", "-o", "out.npy", "--psf", "green.tif")
    assert deblur(*arguments) == 2
    assert "its shape is (2, 7, 20, 18); expected D x H x W, or --channel-axis" in capsys.readouterr().err
    assert deblur(*arguments, "--channel-axis", "0") == 0
    assert np.load("out.npy").shape == (2, 7, 20, 18)
    assert deblur(*arguments, "--channel-axis", "4") == 2
    assert "channel_axis: the shape (2, 7, 20, 18) has no axis 4" in capsys.readouterr().err


def test_several_series(folder, capsys):
    stack = counts(7, 20, 18)
    with tifffile.TiffWriter("in.tif") as file:
        file.write(stack[0, :9, :9], photometric="minisblack")
        file.write(stack, photometric="minisblack", metadata={"axes": "ZYX"})
    assert deblur("in.tif", "-o", "out.tif", "--psf", "green.tif", "--series", "1") == 0
    assert "volume (series 1 of 2)" in capsys.readouterr().out
    assert read_stack("out.tif").shape == stack.shape
    assert deblur("in.tif", "-o", "out.tif", "--psf", "green.tif", "--series", "2") == 2
    assert "in.tif: series 2 is not there; it holds 2, from 0 on" in capsys.readouterr().err


def test_integers_on_request_and_what_they_lose(folder, capsys):
    stack = counts(7, 20, 18)
    stack = (stack * (65535 / stack.max())).astype(np.uint16)
    tifffile.imwrite("in.tif", stack, photometric="minisblack")
    assert deblur("in.tif", "-o", "out.tif", "--psf", "green.tif", "--bits", "16") == 0
    assert read_stack("out.tif").dtype == np.uint16
    assert "clipped at white" in capsys.readouterr().out


def test_a_psf_on_other_voxels_is_resampled(folder, capsys):
    """A psf sampled twice as finely along the slices gives what one on the stack's own voxels gives."""
    stack = counts(11, 20, 18)
    voxel = VoxelSize(0.2, (10, 10), "um")
    write_stack("in.tif", stack, like=Volume(stack, voxel))
    z = torch.arange(-8, 9)
    fine = torch.exp(-(z**2) / (2 * 2.4**2))[:, None, None] * psf.gaussian(1.2, 9)
    coarse = fine[::2] / fine[::2].sum()
    write_stack("fine.tif", fine, like=Volume(fine.numpy(), VoxelSize(100, (0.01, 0.01), "nm")))
    write_stack("coarse.tif", coarse, like=Volume(coarse.numpy(), voxel))
    for name in ("fine", "coarse"):
        assert deblur("in.tif", "-o", f"{name}-out.tif", "--psf", f"{name}.tif") == 0
    assert "resampled to the image's voxels, 2 x 1 x 1 of its own, 9 x 9 x 9" in capsys.readouterr().out
    restored = [read_stack(f"{name}-out.tif") for name in ("fine", "coarse")]
    assert abs(restored[0] - restored[1]).max() < 0.01 * restored[1].max()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("c.tif", "--psf", "green.tif"), "c.tif: its axes are CYX, no slices (Z)"),
        (("c.tif",), "c.tif: it holds a stack, and a psf is estimated from a picture only; expected --psf"),
        (("c.tif", "--psf", "a.npy", "--psf", "green.tif"), "--psf: several are one for each channel"),
        (("c.tif", *["--psf", "gaussian:1"] * 3), "--psf: 3 psfs are given, and c.tif has 2 channels"),
        (("p.png", "--psf", "gaussian:1", "--series", "0"), "p.png: a PNG file has no series or HDUs, given 0"),
    ],
)
def test_what_cannot_be_restored_is_refused_by_name(folder, capsys, arguments, words):
    tifffile.imwrite("c.tif", counts(2, 20, 18, 16)[:, 3], imagej=True, metadata={"axes": "CYX"})
    np.save("a.npy", np.ones((3, 3)) / 9)
    write_image("p.png", latent_image()[:30, :30])
    assert deblur(*arguments, "-o", "out.tif") == 2
    assert words in capsys.readouterr().err
    assert not (folder / "out.tif").exists()
