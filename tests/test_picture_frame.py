"""A frame put around a blurred picture is found to the pixel and left out; what a blur has passed over is none."""

from __future__ import annotations

import pytest
import skimage.data
import torch
import torch.nn.functional as F

from deconv import blind
from deconv.blind.picture_frame import PictureFrame, find_frame
from deconv.imaging import degrade
from deconv.imaging.psf import disk, gaussian, motion

SHARP = torch.from_numpy(skimage.data.camera()[60:220, 130:310] / 255.0)[None, None].float()
BLURRED = degrade(SHARP, disk(3.0), noise=0.005, seed=0).clamp(0, 1)


def framed(picture: torch.Tensor, sides: tuple[int, int, int, int], value: float) -> torch.Tensor:
    top, bottom, left, right = sides
    return F.pad(picture, (left, right, top, bottom), value=value)


FRAMES = {
    "margin": (framed(BLURRED, (12, 20, 9, 9), 1.0), (12, 20, 9, 9)),
    "letterbox": (framed(BLURRED, (25, 25, 0, 0), 0.0), (25, 25, 0, 0)),
    "drawn": (framed(framed(BLURRED, (2, 2, 2, 2), 0.05), (7, 7, 7, 7), 0.95), (9, 9, 9, 9)),
    "one side": (framed(BLURRED, (0, 0, 6, 0), 0.9), (0, 0, 6, 0)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_found_to_the_pixel(name):
    picture, sides = FRAMES[name]
    frame = find_frame(picture)
    assert frame == PictureFrame(*sides)
    assert torch.equal(frame.inside(picture), BLURRED)
    assert torch.equal(frame.around(BLURRED, 0 * picture) + frame.around(0 * BLURRED, picture), picture)
    noisy = picture + 0.005 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    assert find_frame(noisy) == frame


def test_the_edge_of_a_resampled_frame_goes_with_it():
    picture = F.avg_pool2d(framed(BLURRED, (11, 11, 11, 11), 1.0), 2)
    assert find_frame(picture) == PictureFrame(6, 6, 6, 6)


@pytest.mark.parametrize("name", ["camera", "astronaut", "coffee", "rocket", "chelsea", "moon", "page", "coins"])
@pytest.mark.parametrize("psf", [None, disk(2.0), gaussian(1.5)], ids=["sharp", "disk", "gaussian"])
def test_photographs_have_none(name, psf):
    values = torch.from_numpy(getattr(skimage.data, name)() / 255.0).float()
    picture = (values.mean(-1) if values.ndim == 3 else values)[None, None]
    assert not find_frame(picture if psf is None else degrade(picture, psf))


def test_a_blurred_edge_along_a_side_is_no_frame():
    """The title bar of a page that was blurred as a whole; along the bar, motion leaves it as sharp as it was."""
    page = SHARP.clone()
    page[..., :24, :] = 0.9
    assert not find_frame(degrade(page, disk(3.0)))
    assert find_frame(degrade(page, motion(9, 0))).top == 24


def test_a_framed_picture_has_the_psf_of_the_picture():
    picture, _ = FRAMES["margin"]
    with_frame, without = (blind.estimate(each, model="focus") for each in (picture, BLURRED))
    assert torch.equal(with_frame.psf, without.psf)
    assert with_frame.found == without.found
    assert with_frame.frame.words == "left out is a sharp frame, in pixels: above 12, below 20, left 9, right 9"
    assert with_frame.frame.words in repr(with_frame)
    restored = blind.deblur(picture, estimated=with_frame)
    assert torch.equal(with_frame.frame.around(0 * BLURRED, restored), with_frame.frame.around(0 * BLURRED, picture))
    assert torch.equal(with_frame.frame.inside(restored), blind.deblur(BLURRED, estimated=without))
