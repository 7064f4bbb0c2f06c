"""What an image says of its noise and contrast, in its own unit."""

from __future__ import annotations

import math

import pytest
import torch
from restorations import PSF, observation

from deconv.restore.statistics import Statistics, power_of_two
from deconv.restore.streaming_statistics import streaming_statistics


def test_statistics_know_their_unit():
    image = torch.from_numpy(observation())[None, None]
    one, other = Statistics.of(image), Statistics.of(1000 * image)
    for name in ("sigma", "contrast", "brightness"):
        torch.testing.assert_close(1000 * getattr(one, name), getattr(other, name))
    assert abs(float(one.sigma) - 0.01) < 0.002
    blank = Statistics.of(torch.zeros(1, 2, 8, 8))
    assert bool((blank.contrast == 1).all())
    assert bool((blank.brightness == 1).all())


@pytest.mark.parametrize("size", [1e-30, 0.3, 1.0, 7e29])
def test_the_power_of_two_above_a_size(size):
    power = float(power_of_two(torch.tensor(size)))
    assert size < power <= 2 * size
    assert math.frexp(power)[0] == 0.5
    assert float(power_of_two(torch.tensor(0.0))) == 1


def test_few_far_values_do_not_rule_the_typical_contrast():
    image = torch.from_numpy(observation())[None, None]
    spoilt = image.clone()
    spoilt[..., 10, 20] += 100
    spoilt[..., 50, 60] -= 3
    clean, found = Statistics.of(image), Statistics.of(spoilt)
    for name in ("sigma", "typical_contrast", "slopes"):
        torch.testing.assert_close(getattr(found, name), getattr(clean, name), rtol=0.02, atol=0)
    assert float(found.contrast) > 3 * float(clean.contrast)
    streamed = streaming_statistics(spoilt, [2, 3], PSF)
    for name in ("sigma", "contrast", "brightness", "typical_contrast", "slopes"):
        torch.testing.assert_close(getattr(streamed, name), getattr(found, name))
