"""Langevin dynamics for a Gaussian data term: what it draws, against closed forms; and how chains are judged."""

from __future__ import annotations

import math

import pytest
import torch

from deconv.imaging import psf as psfs
from deconv.restore import chains
from deconv.restore.langevin import GaussianStep, langevin, noise_levels
from deconv.restore.problem import Problem

SIGMA = 0.02


def problem(shape=(12, 16), batch=1, boundary="circular", **keywords):
    generator = torch.Generator().manual_seed(0)
    image = 0.5 + 0.2 * torch.randn(1, 1, *shape, generator=generator, dtype=torch.float64)
    psf = psfs.gaussian(1.0).double()
    given = {"num_iter": 12, "sigma": SIGMA, "boundary": boundary}
    return Problem.of(image.expand(batch, -1, -1, -1).clone(), psf, **given | keywords)


@pytest.mark.parametrize("boundary", ["circular", "unknown", "reflect", "zero"])
def test_the_covariance_of_perturbations_is_the_operator(boundary):
    """Then a solve of a perturbation has the covariance that is the inverse of the operator."""
    mask = torch.ones(1, 1, 5, 6, dtype=torch.float64)
    mask[..., 2, 3], mask[..., 4, 1] = 0, 0.3
    step = GaussianStep(given := problem((5, 6), boundary=boundary, mask=mask), torch.full((1, 1, 1, 1), 7.0).double())
    n = math.prod(shape := given.domain.shape)
    identity, zero = torch.eye(n, dtype=torch.float64).view(n, 1, *shape), torch.zeros(1, 1, *shape).double()
    images = [step.perturbation(identity, zero), step.perturbation(zero, identity)]
    factor = torch.cat(images).flatten(1)
    operator = step._normal(identity).flatten(1)
    torch.testing.assert_close(factor.T @ factor, operator)
    torch.testing.assert_close(operator, operator.T)
    right = given.domain.project(identity[:3])
    torch.testing.assert_close(step._normal(step.solve(right)), right, atol=0.1, rtol=0)


def test_a_gaussian_posterior_is_drawn_from_exactly():
    """With a Gaussian prior of the spectrum S, at a level s, mean and variance of each frequency have a closed form."""
    count = 100
    given = problem(batch=count)
    domain, shape = given.domain, given.domain.shape
    rows, columns = torch.fft.fftfreq(shape[0]).double(), torch.fft.rfftfreq(shape[1]).double()
    power = 4 / (1 + 300 * (rows[:, None] ** 2 + columns**2)) + 0.05
    level = 1.5 * given.statistics.sigma[:1]
    gain = power / (power + level**2)
    start = domain.start()
    how = {"start": start, "weight": 1.0, "temperature": 1.0, "generator": torch.Generator().manual_seed(1)}
    *_, draws = langevin(given, lambda x, _: domain.ifft(gain * domain.fft(x)), [level] * 50, **how)
    data = given.statistics.sigma[0].square().reciprocal()
    precision = (data * domain.forward.power + 1 / (power + level[0] ** 2))[0]
    mean = domain.ifft(gain * domain.fft(domain.blur_adjoint(domain.observed[0])) * data / precision)
    spectra = torch.fft.fft2(draws - mean, norm="ortho")[..., : shape[1] // 2 + 1][:, 0] / (
        gain[0, 0] / precision.sqrt()
    )
    # Frequency by frequency, and over all of them, to what so many draws tell.
    variance = spectra.abs().square().mean(0)
    assert float(variance.mean()) == pytest.approx(1, abs=0.05)
    assert float(variance.min()) > 0.5
    assert float(variance.max()) < 1.6
    assert float(spectra.mean(0).abs().square().mean() * count) == pytest.approx(1, abs=0.4)


def test_levels_rise_between_draws_and_end_alike():
    levels = noise_levels(problem(), first=6, again=4, draws=3)
    numbers = [float(level) for level in levels]
    assert len(numbers) == 6 + 2 * 4
    assert numbers[5] == pytest.approx(numbers[9]) == pytest.approx(numbers[13])
    assert numbers[0] > numbers[6] > numbers[5]
    assert all(numbers[k] > numbers[k + 1] for k in (0, 1, 2, 3, 4, 6, 7, 8))


def test_independent_draws_count_in_full():
    draws = torch.randn(4, 5, 3000, generator=torch.Generator().manual_seed(0))
    assert chains.r_hat(draws) == pytest.approx(1, abs=0.01)
    assert chains.effective_size(draws) == pytest.approx(20, rel=0.05)


def test_chains_that_disagree_are_noticed():
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(4, 5, 3000, generator=generator) + 3 * torch.randn(4, 1, 3000, generator=generator)
    assert chains.r_hat(draws) == pytest.approx(math.sqrt(0.8 + 9.2), rel=0.05)
    assert chains.effective_size(draws) < 5


def test_the_effective_size_of_an_autoregression():
    """Of correlation r from step to step: n (1 - r) / (1 + r)."""
    generator, r, state, draws = torch.Generator().manual_seed(0), 0.5, torch.randn(8, 2000), []
    for _ in range(60):
        state = r * state + math.sqrt(1 - r**2) * torch.randn(8, 2000, generator=generator)
        draws.append(state)
    assert chains.effective_size(torch.stack(draws, 1)) == pytest.approx(480 / 3, rel=0.1)


def test_one_draw_of_each_chain_tells_nothing_of_their_agreement():
    draws = torch.randn(6, 1, 10)
    assert math.isnan(chains.r_hat(draws))
    assert chains.effective_size(draws) == 6
