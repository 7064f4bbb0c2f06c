"""Clipped highlights are found in any unit."""

from __future__ import annotations

import pytest
import skimage.data
import torch

from deconv.imaging import degrade
from deconv.imaging.clipping import clipped
from deconv.imaging.psf import gaussian


@pytest.fixture(scope="module")
def photograph() -> torch.Tensor:
    sharp = torch.from_numpy(skimage.data.astronaut() / 255).movedim(-1, 0)[None].float()
    return degrade(sharp, gaussian(1.5), noise=0.005, seed=0)


@pytest.mark.parametrize("unit", [1e-15, 0.5, 1.0, 255.0, 40000.0])
def test_overexposed_pixels_are_clipped_in_any_unit(photograph, unit):
    overexposed = (1.5 * photograph).clip(0, 1)
    truth = 1.5 * photograph >= 1
    found = clipped(unit * overexposed)
    assert bool((found >= truth).all())
    assert float((found ^ truth).float().mean()) < 0.005


@pytest.mark.parametrize("unit", [1e-15, 255.0, 40000.0])
def test_what_is_not_overexposed_is_not_clipped(photograph, unit):
    assert not clipped(unit * 0.7 * photograph).any()
    assert not clipped(torch.zeros(1, 1, 8, 8)).any()


def test_each_image_has_its_own_white(photograph):
    overexposed = (1.5 * photograph).clip(0, 1)
    both = clipped(torch.cat([overexposed, 255 * overexposed]))
    assert torch.equal(both[0], both[1])


def test_white_may_be_told():
    assert clipped(torch.tensor([[[[10.0, 99.8, 100.0]]]]), white=100).tolist() == [[[[False, True, True]]]]
    with pytest.raises(ValueError, match="white"):
        clipped(torch.ones(1, 1, 2, 2), white=-1)
