"""Images whose channels stand on a named axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import deconv
from deconv.imaging.arrays import as_image_batch


@pytest.mark.parametrize(
    ("shape", "axis", "expected"),
    [
        ((2, 9, 8), 0, (1, 2, 9, 8)),
        ((9, 5, 8), 1, (1, 5, 9, 8)),
        ((9, 8, 5), -1, (1, 5, 9, 8)),
        ((3, 9, 8, 2), 3, (3, 2, 9, 8)),
        ((2, 3, 9, 8), 0, (3, 2, 9, 8)),
    ],
)
def test_the_channel_axis_is_the_one_that_is_named(shape, axis, expected):
    array = np.random.default_rng(0).random(shape)
    for image in (array, torch.from_numpy(array)):
        batch, back = as_image_batch(image, channel_axis=axis)
        assert tuple(batch.shape) == expected
        np.testing.assert_array_equal(back(batch), array)
        channels = np.moveaxis(array, axis, -3)
        np.testing.assert_array_equal(batch.reshape(channels.shape), channels)


@pytest.mark.parametrize(("shape", "axis"), [((9, 8), 0), ((2, 9, 8), 3), ((2, 9, 8), -4)])
def test_a_channel_axis_that_is_not_there_is_refused(shape, axis):
    with pytest.raises(ValueError, match=f"channel_axis: image of the shape .* has no axis {axis}"):
        as_image_batch(np.ones(shape), channel_axis=axis)


def test_the_channel_axis_is_the_same_everywhere():
    """Each function gives what it gives for the channels where they are looked for, in the place where they were."""
    h = deconv.imaging.psf.gaussian(1.0, 5)
    image = np.random.default_rng(0).random((2, 40, 36))
    mask = np.ones((40, 36))
    mask[10:12, 10:12] = 0
    degrade = {"boundary": "reflect", "noise": 0.0}
    calls = {
        "degrade": lambda x, **axis: deconv.degrade(x, h, **degrade, **axis),
        "wiener": lambda x, **axis: deconv.wiener(x, h, mask=mask, **axis),
        "tiled": lambda x, **axis: deconv.restore.tiled("wiener", x, h, tile=20, overlap=30, **axis),
    }
    for call in calls.values():
        usual = np.moveaxis(call(np.moveaxis(image, 0, -1)), -1, 0)
        np.testing.assert_allclose(call(image, channel_axis=0), usual)
        between = np.ascontiguousarray(image.swapaxes(0, 1))
        np.testing.assert_allclose(call(between, channel_axis=1), usual.swapaxes(0, 1))
    blurred = image + 0.1
    assert deconv.psnr(blurred, image, channel_axis=0) == pytest.approx(20)
    last = [np.moveaxis(a, 0, -1) for a in (blurred, image)]
    assert deconv.ssim(blurred, image, channel_axis=0) == pytest.approx(deconv.ssim(*last))
    assert deconv.imaging.estimate_noise(image, channel_axis=0) == deconv.imaging.estimate_noise(last[1])
