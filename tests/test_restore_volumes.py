"""Stacks of slices from file to file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from restorations import latent_image

from deconv.cli import main as run
from deconv.imaging import degrade, psnr, read_stack, write_stack
from deconv.imaging.psf import gaussian


@pytest.mark.parametrize("method", ["wiener", "richardson_lucy", "total_variation"])
def test_a_stack_is_restored_by_the_command(method, tmp_path):
    volume = latent_image()[:64, :64] * np.linspace(0.5, 1, 10)[:, None, None]
    psf = gaussian(1.2, 7)[None] * torch.tensor([0.25, 0.5, 0.25])[:, None, None]
    blurred = degrade(volume, psf, noise=0.01, seed=0, boundary="circular")
    write_stack(tmp_path / "in.tif", blurred.astype(np.float32))
    np.save(tmp_path / "psf.npy", psf.numpy())
    command = ["deblur", tmp_path / "in.tif", "-o", tmp_path / "out.tif", "--psf", tmp_path / "psf.npy", "-m", method]
    assert run([*map(str, command), "--boundary", "circular", "--quiet"]) == 0
    restored = read_stack(tmp_path / "out.tif")
    assert restored.dtype == np.float32
    assert psnr(restored.astype(float), volume) > psnr(blurred, volume) + 2
