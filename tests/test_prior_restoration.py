"""Restoration by priors of patches: drawing from the posterior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from restorations import PSF, field_of_view, observation
from scipy.stats import spearmanr

from deconv import restore
from deconv.imaging import psnr
from deconv.prior import detail_power
from deconv.restore.half_quadratic import falling_noise_levels, half_quadratic
from deconv.restore.padded_domain import PaddedDomain
from deconv.restore.problem import Problem
from deconv.restore.statistics import Statistics

QUICK = {"prior": "gmm", "samples": 4, "num_iter": 4, "stride": 8}


def test_samples_differ_where_the_error_is():
    drawn = restore.flow_posterior(observation(), PSF, **QUICK)
    error = np.abs(drawn.mean - field_of_view())[6:-6, 6:-6]
    deviation = drawn.deviation[6:-6, 6:-6]
    assert spearmanr(error.ravel(), deviation.ravel()).statistic > 0.15
    assert psnr(drawn.mean, field_of_view()) > psnr(observation(), field_of_view()) + 4
    np.testing.assert_allclose(np.mean(drawn.samples, 0), drawn.mean, atol=1e-5)
    np.testing.assert_allclose(np.std(drawn.samples, 0, ddof=1), drawn.deviation, atol=1e-5)


def test_the_seed_decides_and_without_noise_draws_are_nearly_alike():
    image, quick = observation()[:32, :32], QUICK | {"samples": 2}
    one, same = (restore.flow_posterior(image, PSF, seed=3, **quick) for _ in range(2))
    np.testing.assert_array_equal(one.samples[0], same.samples[0])
    assert np.abs(one.samples[0] - one.samples[1]).max() > 1e-3
    still = restore.flow_posterior(image, PSF, temperature=0.0, **quick)
    assert still.deviation.mean() < 0.5 * one.deviation.mean()


def test_layout_and_depth_are_kept():
    image = (255 * observation()[:32, :36].clip(0, 1)).astype(np.uint8)[..., None].repeat(2, -1)
    drawn = restore.flow_posterior(image, PSF, **QUICK | {"samples": 2, "num_iter": 2})
    assert drawn.mean.dtype == np.uint8
    assert drawn.mean.shape == image.shape == drawn.deviation.shape
    assert drawn.deviation.dtype == np.float32
    assert 0 < drawn.deviation.mean() < 0.2


def test_the_spread_moves_draws_from_their_mean():
    one, wide = (restore.flow_posterior(observation()[:32, :32], PSF, spread=spread, **QUICK) for spread in (1.0, 2.0))
    np.testing.assert_allclose(one.mean, wide.mean, atol=1e-5)
    np.testing.assert_allclose(2 * one.deviation, wide.deviation, atol=1e-5)
    assert one.r_hat == wide.r_hat > 0.5
    assert 1 <= one.effective_samples <= 4


def test_chains_that_disagree_are_told_of(monkeypatch):
    monkeypatch.setattr("deconv.restore.posterior.r_hat", lambda draws: 1.6)
    with pytest.warns(restore.RestorationWarning, match="the chains disagree .R-hat 1.60"):
        restore.flow_posterior(observation()[:30, :30], PSF, **QUICK | {"num_iter": 2})


def test_a_callback_sees_every_iteration_and_stops():
    seen = []
    with pytest.raises(RuntimeError, match="before its second draw"):
        restore.flow_posterior(
            observation()[:30, :30], PSF, callback=lambda k, image: seen.append(image.shape) or k == 1, **QUICK
        )
    assert seen == [(30, 30)] * 2


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"samples": 1}, "samples: "),
        ({"temperature": 2.0}, "temperature: expected 0 to 1"),
        ({"samples": 8, "chains": 3}, "chains: expected a divisor of samples, 8, given 3"),
        ({"spread": 0.0}, "spread: expected a positive number"),
        ({"weight": -1.0}, "weight: expected a positive number"),
        ({"tolerance": 0.1}, "tolerance: "),
        ({"num_iter": 1}, "num_iter: "),
    ],
)
def test_errors_name_the_argument(keywords, message):
    with pytest.raises(ValueError, match=message):
        restore.flow_posterior(torch.rand(20, 20), PSF, "gmm", **keywords)


@pytest.mark.parametrize(("free", "least", "most"), [(False, 0.4, 1.0), (True, 0.0, 0.2)])
def test_long_waves_are_left_to_the_data(free, least, most):
    """A wave in the start that the blur nearly takes goes, unless the splitting holds on to what no patch sees."""
    wave = torch.cos(2 * torch.pi * torch.arange(80) / 40).expand(1, 1, 64, 80).double()
    flat = torch.full_like(wave, 0.5)
    blur = torch.full((1, 39), 1 / 39).double()
    domain = PaddedDomain(flat, blur, boundary="circular")
    problem = Problem(flat, domain, Statistics.of(flat, 0.01), 9, torch.ones(1, 1, 1, 1))
    levels = falling_noise_levels(problem, torch.tensor(0.14), torch.tensor(0.009))
    seen = detail_power(8, (64, 80)) if free else 1.0
    latents = half_quadratic(problem, lambda x, _: x, levels, weight=0.3, start=flat + 0.1 * wave, seen=seen)
    *_, last = (next(latents) for _ in range(9))
    kept = float((last * wave).mean() / (0.1 * wave.square().mean()))
    assert least <= kept <= most
