"""``deconv combine``: several files of one latent image into one."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image
from restorations import latent_image

import deconv.restore
from deconv.cli import main
from deconv.imaging import degrade, psnr, read_image, write_image
from deconv.imaging.psf import motion
from deconv.imaging.srgb import to_linear, to_srgb
from deconv.restore import tiled
from deconv.restore.memory import as_bytes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """a.tif and b.tif, 16 bits, trailed along and across."""
    monkeypatch.chdir(tmp_path)
    for name, angle in (("a", 0), ("b", 90)):
        seen = degrade(latent_image(), motion(9, angle).double(), noise=0.01, boundary="reflect", seed=angle)
        tifffile.imwrite(f"{name}.tif", (65535 * seen.clip(0, 1)).round().astype(np.uint16))
    return tmp_path


PSFS = ["--psf", "motion:9,0", "--psf", "motion:9,90"]


def test_frames_are_combined(folder, capsys):
    assert main(["combine", "a.tif", "b.tif", "-o", "out.tif", *PSFS, "--method", "tikhonov", "--sigma", "1%"]) == 0
    words = capsys.readouterr().out
    assert "a.tif -> out.tif" in words
    assert "2 frames; psf motion:9,0 (1 x 9), motion:9,90 (9 x 1); noise 1.00%; grey values; tikhonov" in words
    restored = tifffile.imread("out.tif")
    assert restored.dtype == np.uint16
    assert main(["deblur", "a.tif", "-o", "alone.tif", "--psf", "motion:9,0", "--method", "tikhonov", "-q"]) == 0
    together, alone = (psnr(tifffile.imread(name) / 65535, latent_image()) for name in ("out.tif", "alone.tif"))
    assert together > alone + 3


def test_frames_of_floats_keep_their_unit_and_backgrounds(folder):
    for name, sky in (("a", 100), ("b", 300)):
        tifffile.imwrite(f"{name}32.tif", (tifffile.imread(f"{name}.tif") / 65.535 + sky).astype(np.float32))
    how = ["--background", "100", "--background", "300", "--iterations", "10", "-m", "richardson-lucy", "-q"]
    assert main(["combine", "a32.tif", "b32.tif", "-o", "out.tif", *PSFS, *how]) == 0
    restored = tifffile.imread("out.tif")
    assert restored.dtype == np.float32
    assert restored.mean() == pytest.approx(1000 * latent_image().mean(), rel=0.02)


@pytest.mark.parametrize("linear", [True, False])
def test_photographs_are_combined_in_the_light_that_was_blurred(tmp_path, monkeypatch, capsys, linear):
    monkeypatch.chdir(tmp_path)
    sharp = skimage.data.astronaut()[20:180, 120:290]
    values = torch.from_numpy(sharp / 255).movedim(-1, 0)[None]
    for name, angle in (("a", 0), ("b", 90)):
        seen = degrade(to_linear(values) if linear else values, motion(9, angle), boundary="reflect")
        write_image(f"{name}.png", (to_srgb(seen) if linear else seen)[0].clamp(0, 1), bits=8)
    results = {}
    for more in ((), ("--linear",), ("--no-linear",)):
        how = [*PSFS, "-m", "tikhonov", "--sigma", "0.5%", "--overwrite", *more]
        assert main(["combine", "a.png", "b.png", "-o", "out.png", *how]) == 0
        said = capsys.readouterr().out
        assert ("linear light" in said) == (more == ("--linear",) or (not more and linear))
        results[more] = read_image("out.png")
    np.testing.assert_array_equal(results[()], results["--linear" if linear else "--no-linear",])
    against = {more: psnr(image, sharp) for more, image in results.items()}
    assert against[()] > min(against.values()) + 1


def test_the_traces_of_jpeg_are_not_amplified_by_frames(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, angle in (("a", 0), ("b", 90)):
        seen = degrade(np.tile(latent_image(), (2, 2)), motion(9, angle).double(), boundary="reflect")
        Image.fromarray((255 * seen.clip(0, 1)).round().astype(np.uint8)).save(f"{name}.jpg", quality=60)
    assert main(["combine", "a.jpg", "b.jpg", "-o", "out.png", *PSFS, "--no-linear"]) == 0
    assert "the error of JPEG" in capsys.readouterr().out
    for name, psf in (("a", PSFS[:2]), ("b", PSFS[2:])):
        assert main(["deblur", f"{name}.jpg", "-o", f"{name}.png", *psf, "--no-linear", "-q"]) == 0
    truth = np.tile(latent_image(), (2, 2))
    together, one, other = (psnr(read_image(f"{name}.png") / 255, truth) for name in ("out", "a", "b"))
    assert together > max(one, other) + 1


def test_within_little_memory_frames_are_combined_in_tiles(folder, monkeypatch, capsys):
    for name, angle in (("a", 0), ("b", 90)):
        seen = degrade(np.tile(latent_image(), (4, 4)), motion(9, angle).double(), noise=0.01, seed=angle)
        tifffile.imwrite(f"{name}.tif", seen[:180, :180].astype(np.float32))
    how = ["combine", "a.tif", "b.tif", *PSFS, "-m", "richardson-lucy", "--iterations", "5", "-q"]
    assert main([*how, "-o", "whole.tif"]) == 0
    calls = []
    monkeypatch.setattr(deconv.restore, "tiled", lambda *given, **options: calls.append(1) or tiled(*given, **options))
    monkeypatch.setattr("deconv.cli.combine.memory_left", lambda memory, device: as_bytes(memory))
    assert main([*how, "-o", "tiles.tif", "--memory", "4MiB"]) == 0
    assert calls
    assert psnr(tifffile.imread("tiles.tif"), tifffile.imread("whole.tif")) > 50
    assert main([*how, "-o", "none.tif", "--memory", "1KiB"]) == 2
    assert "--memory: 1KiB is too little: the smallest tile takes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.tif", *PSFS[:2]], "IN: expected two frames or more, given 1; deconv deblur restores one picture"),
        (["a.tif", "b.tif", *PSFS, "--psf", "motion:9,5"], "--psf: expected one for all 2 frames or 2, given 3"),
        (["a.tif", "b.tif", *PSFS, "--sigma", "1%", "--sigma", "1%", "--sigma", "1%"], "--sigma: expected one for all"),
        (["a.tif", "small.tif", *PSFS], "small.tif: frames are registered, on the same pixels and channels; a.tif has"),
        (["a.tif", "floats.tif", *PSFS], "floats.tif: frames are in one unit; a.tif holds uint16, this float32"),
        (["a.tif", "b.tif", *PSFS, "-m", "auto"], "--method: auto is for one picture"),
        (["a.tif", "b.tif", *PSFS, "-m", "unsupervised-wiener"], "unsupervised_wiener: takes one image and one psf"),
        (["a.tif", "b.tif", *PSFS, "--background", "1"], "--background: hyper_laplacian does not take it"),
    ],
)
def test_what_is_refused(folder, capsys, words, said):
    tifffile.imwrite("small.tif", tifffile.imread("a.tif")[:-1])
    tifffile.imwrite("floats.tif", tifffile.imread("a.tif").astype(np.float32))
    assert main(["combine", *words, "-o", "out.tif"]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "out.tif").exists()
