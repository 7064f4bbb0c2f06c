"""Lights that a blur has drawn out: found where they agree, and advised by the command."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deconv.blind.light_streaks import common_streak
from deconv.blind.metrics import kernel_similarity
from deconv.cli.inputs import read_source
from deconv.cli.streak import advised_streak, blur_from_streak
from deconv.imaging import write_image
from deconv.imaging.convolution import convolve
from deconv.imaging.psf import camera_shake
from deconv.imaging.srgb import to_srgb

PSF = camera_shake(21, seed=3)
PLACES = ((30, 40), (60, 150), (110, 60), (100, 190))


def night(psf, places=PLACES, *, dark=0.02):
    """Points of light of different strengths, clipped at white, with some texture between them and some noise."""
    generator = torch.Generator().manual_seed(0)
    light = dark * (0.5 + torch.rand(1, 1, 18, 30, generator=generator).repeat_interleave(8, 2).repeat_interleave(8, 3))
    for strength, (row, column) in zip((8.0, 15.0, 25.0, 40.0), places, strict=False):
        light[..., row, column] = strength
    blurred = convolve(light, psf, boundary="reflect")
    return (blurred + 0.002 * torch.randn(blurred.shape, generator=generator)).clamp(0, 1)[0, 0]


def test_lights_that_agree_show_the_psf():
    streak = common_streak(night(PSF), (41, 41))
    assert streak is not None
    assert kernel_similarity(streak.psf, PSF) > 0.85
    assert any(streak.rows[0] < row < streak.rows[1] for row, _ in PLACES)


@pytest.mark.parametrize(
    "light",
    [
        night(torch.ones(1, 1)),  # sharp
        night(PSF, PLACES[:2]),  # too few to agree
        night(PSF, dark=0.4),  # day
        torch.zeros(50, 60),
    ],
)
def test_there_need_not_be_any(light):
    assert common_streak(light, (41, 41)) is None


def test_the_command_advises_a_streak_that_it_takes(tmp_path):
    values = to_srgb(night(PSF)).numpy()
    write_image(tmp_path / "night.png", np.stack([values] * 3, -1), bits=8)
    source = read_source(tmp_path / "night.png", None)
    place = advised_streak(source, torch.ones(1, 1))
    assert place is not None
    assert kernel_similarity(blur_from_streak(source, place).psf, PSF) > 0.85
    assert advised_streak(source, None) == place
    assert advised_streak(source, PSF) is None
