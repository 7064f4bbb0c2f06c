"""Quality of estimates up to a shift."""

from __future__ import annotations

import pytest
import torch

from deconv.blind import aligned_psnr, kernel_similarity
from deconv.imaging.psf import camera_shake, gaussian


def test_similarity_is_that_of_the_best_shift():
    psf = camera_shake(15, seed=4)
    moved = torch.nn.functional.pad(psf, (3, 0, 0, 5))
    assert kernel_similarity(moved, 7 * psf) == pytest.approx(1, abs=1e-6)
    half = (psf + psf.roll(1, 1)) / 2  # moved by half a pixel, and a little softer
    assert kernel_similarity(half, psf) > float((half * psf).sum() / half.norm() / psf.norm())
    assert kernel_similarity(gaussian(1.0, 9), gaussian(3.0, 19)) < 0.7


def test_aligned_psnr_undoes_quarter_pixels():
    generator = torch.Generator().manual_seed(0)
    wide = torch.rand(1, 1, 70, 70, generator=generator)
    truth = 0.25 * wide[..., 3:63, 3:63] + 0.75 * wide[..., 4:64, 3:63]
    image = wide[..., 5:65, 1:61]  # the truth is 1.25 rows before it, and two columns behind
    assert aligned_psnr(image, truth, border=8, reach=4) > 80
    with pytest.raises(ValueError, match="reach"):
        aligned_psnr(image, truth, border=4, reach=5)
    with pytest.raises(ValueError, match="border"):
        aligned_psnr(image, truth, border=30, reach=5)
    with pytest.raises(ValueError, match="truth"):
        aligned_psnr(image, truth[..., 1:, :])


@pytest.mark.parametrize("wrong", [torch.zeros(3, 3), torch.ones(1, 3, 3), torch.full((3, 3), torch.nan)])
def test_what_is_no_psf_has_no_similarity(wrong):
    with pytest.raises(ValueError, match="truth"):
        kernel_similarity(gaussian(1.0), wrong)
