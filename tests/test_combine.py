"""``deconv combine``: several files of one latent image into one."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from restorations import latent_image

import deconv.restore
from deconv.cli import main
from deconv.imaging import degrade, psnr
from deconv.imaging.psf import motion
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
    assert "2 frames; psf motion:9,0 (1 x 9), motion:9,90 (9 x 1); tikhonov" in words
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
