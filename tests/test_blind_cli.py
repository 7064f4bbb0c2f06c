"""The command on pictures whose blur nobody tells it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deconv import blind
from deconv.bench.blind_cases import synthetic
from deconv.blind import aligned_psnr, kernel_similarity
from deconv.blind.observation import widest_window, window_size
from deconv.cli import main
from deconv.cli.left import wider_window
from deconv.cli.source import Source
from deconv.imaging import degrade, read_image, write_image
from deconv.imaging.psf import from_file, motion


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = next(synthetic(noise=0.005, side=160))
    write_image("blurred.png", case.blurred, bits=16)
    return case


def test_deblur_without_a_psf_estimates_it_and_keeps_it_beside_the_picture(case, capsys):
    assert main(["deblur", "blurred.png", "-o", "out.png", "-k", str(case.window), "--starts", "2"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert f"psf estimated ({case.window} x {case.window})" in said.out
    assert "-> out-psf.png" in said.out
    restored = read_image("out.png") / 65535
    assert aligned_psnr(restored, case.sharp.astype(float)) > aligned_psnr(case.blurred, case.sharp) + 2
    assert kernel_similarity(from_file("out-psf.png")[0], case.psf) > 0.8


@pytest.mark.parametrize("name", ["psf.png", "psf.npy", "psf.tif", "psf.jpg"])
def test_estimate_kernel_writes_every_kind(case, capsys, name):
    write_image("small.png", case.blurred[:64, :64], bits=16)
    assert main(["estimate-kernel", "small.png", "-o", name, "-k", "7x9", "--starts", "1", "--no-linear"]) == 0
    assert f"small.png -> {name}: psf estimated (7 x 9)" in capsys.readouterr().out
    assert from_file(name)[0].shape == (7, 9)


@pytest.mark.parametrize("shape", [(20, 30), (64, 60), (470, 728), (3000, 4000)])
def test_the_window_advised_is_wider_than_by_default_and_allowed(shape):
    picture = Source(Path("a.png"), torch.zeros(1).numpy(), torch.zeros(1, 1, 1, 1).expand(1, 1, *shape), None)
    wider = wider_window(picture)
    assert wider > max(widest_window(shape))
    assert window_size(wider, shape) == (wider, wider)


def test_a_sharp_picture_is_left_as_it_is(case, capsys, monkeypatch):
    write_image("sharp.png", case.sharp[:128, :128], bits=8)
    found = blind.estimate(case.sharp[:128, :128], 11, starts=1)
    monkeypatch.setattr(blind, "estimate", lambda image, *window, **options: found)
    deblur = ["deblur", "sharp.png", "-o", "out.png", "-k", "11", "--starts", "1"]
    for on_doubt, status in (("fail", 2), ("skip", 3)):
        assert main([*deblur, "--on-doubt", on_doubt]) == status
        assert not Path("out.png").exists()
    capsys.readouterr()
    assert main(deblur) == 3
    said = capsys.readouterr()
    assert "sharp" in said.err
    assert said.out.startswith("sharp.png -> out.png: left as it is; to try: a crop of it, --kernel-size")
    assert Path("out.png").read_bytes() == Path("sharp.png").read_bytes()
    assert not Path("out-psf.png").exists()


@pytest.mark.parametrize("size", ["big", "9x9x9", "999"])
def test_a_window_that_will_not_do(case, capsys, size):
    assert main(["estimate-kernel", "blurred.png", "-o", "psf.png", "-k", size]) == 2
    error = capsys.readouterr().err
    assert "kernel" in error
    assert error.count("\n") == 1


def test_a_sharp_frame_is_left_out_and_as_it_was(case, capsys):
    """What is inside is restored as it is without the frame."""
    write_image("blurred.png", degrade(case.sharp, motion(11, 30), noise=0.005, seed=0), bits=16)
    blurred = read_image("blurred.png")
    write_image("framed.png", np.pad(blurred, ((9, 7), (5, 5)), constant_values=np.iinfo(blurred.dtype).max))
    for name in ("blurred", "framed"):
        assert main(["deblur", f"{name}.png", "-o", f"{name}-sharp.png", "--model", "motion", "-m", "wiener"]) == 0
        assert ("left out is a sharp frame, in pixels: above 9" in capsys.readouterr().out) == (name == "framed")
    framed = read_image("framed-sharp.png")
    assert (framed[:9] == framed.max()).all()
    np.testing.assert_allclose(framed[9:-7, 5:-5], read_image("blurred-sharp.png"), atol=1)
