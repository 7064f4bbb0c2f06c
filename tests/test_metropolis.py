"""Trajectories accepted or rejected: what they draw, against integrals; and what they follow, against differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from restorations import PSF, observation

from deconv import restore
from deconv.imaging import psf as psfs
from deconv.prior import load_prior
from deconv.prior.image_prior import ImagePrior
from deconv.restore.langevin import langevin, noise_levels
from deconv.restore.metropolis import Metropolis
from deconv.restore.problem import Problem
from deconv.restore.with_prior import natural_unit

APART, WIDTH = 0.4, 0.02


class TwoValues(ImagePrior):
    """Pixels that are near one of two values, independent of each other: far from Gaussian, and easily integrated."""

    def __init__(self, centre: float) -> None:
        super().__init__(1, 1e-4, 1.0)
        self.register_buffer("ends", torch.tensor([centre - APART, centre + APART], dtype=torch.float64))

    def log_prob(self, image, sigma=None, *, stride=1, generator=None):
        return self.of_values(image, sigma).flatten(1).sum(1)

    def of_values(self, values, sigma):
        squares = (values.unsqueeze(-1) - self.ends).square()
        return torch.logsumexp(-0.5 * squares / (WIDTH**2 + sigma**2), -1)

    def score(self, image, sigma=None, *, stride=1, generator=None):
        with torch.enable_grad():
            x = image.detach().requires_grad_()
            return torch.autograd.grad(self.log_prob(x, sigma).sum(), x)[0]

    def tweedie(self, image, sigma, *, stride=1, generator=None):
        return image + sigma**2 * self.score(image, sigma)


def problem(image, psf, **keywords):
    given = {"num_iter": 12, "sigma": 0.06, "boundary": "circular"}
    return Problem.of(image, psf, **given | keywords)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_what_is_drawn_has_the_density_that_it_is_to_have():
    """Without blur, a pixel's density is one of one variable. Long Langevin steps are too often between its modes."""
    given = problem(0.5 + 0.08 * noise(1, 1, 48, 48), torch.ones(1, 1, dtype=torch.float64), sigma=0.1)
    unit, level = float(natural_unit(given)), noise_levels(given, first=2, again=2, draws=1)[-1]
    centre, observed, sigma = float(given.image.mean()), given.domain.observed, given.statistics.sigma
    prior = TwoValues(centre / unit)
    grid = torch.linspace(float(observed.min()) - 4, float(observed.max()) + 4, 2001, dtype=torch.float64)
    misfit = 0.5 * ((grid - observed[..., None]) / sigma[..., None]).square()
    density = (prior.of_values(grid / unit, float(level) / unit) - misfit).softmax(-1)
    mean, square = ((density * grid**k).sum(-1) for k in (1, 2))
    deviation = (square - mean.square()).sqrt()

    def between(values):
        return ((values - centre).abs() < 0.35 * APART * unit).double()

    expected = float((density * between(grid)).sum(-1).mean())
    how = {"start": observed, "weight": 1.0, "generator": torch.Generator().manual_seed(2)}
    chain = Metropolis(given, prior, level=level, count=150, **how)
    drawn = torch.stack([x for x, _ in chain(observed)][50:])
    assert float(torch.stack(chain.acceptances[50:]).mean()) == pytest.approx(0.651, abs=0.08)
    towards = (observed - centre).sign()
    assert float((towards * (drawn.mean(0) - mean) / deviation).mean()) == pytest.approx(0, abs=0.02)
    assert float(((drawn - mean) / deviation).square().mean()) == pytest.approx(1, abs=0.02)
    assert float(between(drawn).mean()) == pytest.approx(expected, rel=0.015)

    ends = []

    def keep(x):
        ends.append(x)
        return iter(())

    for seed in range(12):
        how["generator"].manual_seed(seed)
        denoise = lambda x, s: prior.tweedie(x / unit, float(s) / unit) * unit  # noqa: E731
        list(langevin(given, denoise, [level] * 8, temperature=1.0, refine=keep, **how))
    assert float(between(torch.stack(ends)).mean()) > 1.03 * expected


@pytest.mark.parametrize("boundary", ["circular", "unknown", "reflect", "zero"])
def test_forces_are_the_gradient_of_the_energy(boundary):
    mask = torch.ones(1, 1, 7, 9, dtype=torch.float64)
    mask[..., 2, 3], mask[..., 4, 1] = 0, 0.3
    given = problem(0.5 + 0.08 * noise(2, 2, 7, 9), psfs.gaussian(0.8).double(), boundary=boundary, mask=mask)
    start = given.domain.start()
    how = {"start": start, "weight": 1.3, "count": 1, "generator": torch.Generator()}
    chain = Metropolis(given, TwoValues(0.5), level=torch.full((2, 1, 1, 1), 0.05).double(), **how)
    x, way = start + 0.1 * noise(*start.shape, seed=1), noise(*start.shape, seed=2)
    _, gradient, _ = chain._energy(x, [0, 0])
    (after, _, _), (before, _, _) = (chain._energy(x + step * way, [0, 0]) for step in (1e-5, -1e-5))
    slope = (gradient * way).sum((-2, -1), keepdim=True)
    torch.testing.assert_close((after - before) / 2e-5, slope, rtol=1e-5, atol=1e-5)


def test_acceptance_is_reported_and_draws_differ_from_those_before():
    how = {"prior": "gmm", "samples": 2, "num_iter": 2, "stride": 8}
    without = restore.flow_posterior(observation()[:32, :32], PSF, **how)
    refined, alone = (
        restore.flow_posterior(observation()[:32, :32], PSF, metropolis=3, spread=spread, **how)
        for spread in (None, 1.0)
    )
    assert math.isnan(without.acceptance)
    assert 0.1 < refined.acceptance <= 1
    assert abs(refined.samples[0] - without.samples[0]).max() > 1e-3
    spread = load_prior("gmm").refined_spread
    np.testing.assert_allclose(refined.deviation, spread * alone.deviation, rtol=1e-4)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"metropolis": -1}, "metropolis: expected a whole number from 0 on, given -1"),
        ({"metropolis": 2, "temperature": 0.5}, "metropolis: draws from the posterior itself"),
    ],
)
def test_trajectories_that_make_no_sense_are_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        restore.flow_posterior(observation(), PSF, "gmm", **keywords)
