"""Mixtures of Gaussians over patches: scores are gradients of densities, and means those of Tweedie."""

from __future__ import annotations

import pytest
import torch
from priors import PRIORS, covariances, generator, mixture, random

from deconv.prior import GaussianMixturePrior, cosine_basis, detail_power, fit_mixture, load_prior
from deconv.prior.patches import PatchGrid


@pytest.fixture(params=["mixture", "gmm"], scope="module")
def patch_prior(request):
    return PRIORS[request.param]()


def test_the_basis_is_orthonormal_and_blind_to_the_mean():
    basis = cosine_basis(8)
    torch.testing.assert_close(basis @ basis.T, torch.eye(63, dtype=torch.float64))
    assert float(basis.sum(1).abs().max()) < 1e-12


@pytest.mark.parametrize(("stride", "shape"), [(1, (2, 9, 11)), (3, (1, 20, 17)), (8, (1, 16, 24))])
def test_scatter_is_the_adjoint_of_gather(stride, shape):
    grid = PatchGrid(8, stride)
    x = random(*shape)
    v = random(*grid.gather(x).shape, seed=1)
    torch.testing.assert_close((grid.gather(x) * v).sum(), (x * grid.scatter(v, x)).sum())
    # Together with the means, each patch comes back: the counts are what scatter of gather multiplies by.
    x = x - x.mean((1, 2), keepdim=True)
    if stride == 8:
        blocks = x.unfold(1, 8, 8).unfold(2, 8, 8).mean((3, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)
        torch.testing.assert_close(grid.scatter(grid.gather(x), x), x - blocks)


def test_bands_hold_every_patch_once(monkeypatch):
    monkeypatch.setattr("deconv.prior.patches._AT_ONCE", 20)
    grid, x = PatchGrid(8, 3), random(1, 41, 20)
    by_band = torch.cat([grid.gather(x[:, rows]) for rows in grid.bands(x)])
    torch.testing.assert_close(by_band, grid.gather(x))
    assert len(list(grid.bands(x))) > 2


def test_detail_power_is_what_patches_keep():
    """Every patch of a torus, its mean taken out."""
    x = random(1, 20, 17)
    around = torch.nn.functional.pad(x[None], (0, 7, 0, 7), mode="circular")[0]
    kept = PatchGrid(8, 1).gather(around).square().sum() / 64
    power = detail_power(8, (20, 17))
    filtered = torch.fft.irfft2(power * torch.fft.rfft2(x[0]), s=(20, 17))
    torch.testing.assert_close((filtered * x[0]).sum(), kept)
    assert abs(float(power[0, 0])) < 1e-12


def test_the_mixture_is_that_of_torch():
    v, sigma = random(50, 63), 0.05
    noisy = covariances() + sigma**2 * torch.eye(63)
    components = torch.distributions.MultivariateNormal(torch.zeros(63, dtype=torch.float64), noisy)
    weights = torch.distributions.Categorical(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    expected = torch.distributions.MixtureSameFamily(weights, components).log_prob(v)
    torch.testing.assert_close(mixture().patch_log_prob(v, sigma), expected, rtol=1e-5, atol=1e-3)


def test_the_score_is_the_gradient(patch_prior):
    v = (0.1 * random(6, 63)).requires_grad_()
    (gradient,) = torch.autograd.grad(patch_prior.patch_log_prob(v, 0.05).sum(), v)
    torch.testing.assert_close(patch_prior.patch_score(v.detach(), 0.05), gradient)
    direction, step = random(6, 63, seed=2), 1e-5
    there, here = (patch_prior.patch_log_prob(v.detach() + s * step * direction, 0.05) for s in (1, -1))
    slope = (there - here) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(1), slope, rtol=2e-3, atol=2e-3 * float(slope.abs().max()))


def test_the_score_can_be_differentiated(patch_prior):
    v = (0.1 * random(2, 63)).requires_grad_()
    direction = random(2, 63, seed=2)
    (product,) = torch.autograd.grad((patch_prior.patch_score(v, 0.05) * direction).sum(), v)
    step = 1e-5
    there, here = (patch_prior.patch_score(v.detach() + s * step * direction, 0.05) for s in (1, -1))
    numeric = (there - here) / (2 * step)
    assert float((product - numeric).norm() / numeric.norm()) < 0.02


def test_training_changes_no_derivative():
    """Then, the mixture's density is differentiated through all components at once."""
    values = []
    for training in (False, True):
        v, prior = (0.1 * random(4, 63)).requires_grad_(), mixture().train(training)
        log_prob = prior.patch_log_prob(v, 0.05)
        (score,) = torch.autograd.grad(log_prob.sum(), v, create_graph=True)
        (curvature,) = torch.autograd.grad((score * random(4, 63, seed=2)).sum(), v)
        values.append((log_prob, score, curvature))
    for there, here in zip(*values, strict=True):
        assert float((there - here).detach().abs().max()) < 1e-3 * float(here.detach().abs().max())


def test_tweedie_is_the_mean_of_the_clean_patches():
    """For the mixture: by the drawn patches themselves, weighted by how likely they look like the noisy one."""
    m = GaussianMixturePrior.from_covariances(torch.tensor([0.6, 0.4]), covariances(2, 3)).double()
    clean = m.sample(400_000, 0.0, generator=generator()).double()
    noisy, sigma = torch.tensor([[0.3, 0.1, -0.2]], dtype=torch.float64), 0.3
    weight = (-(clean - noisy).square().sum(1) / (2 * sigma**2)).softmax(0)
    torch.testing.assert_close(m.patch_denoise(noisy, sigma), (weight @ clean)[None], atol=5e-3, rtol=0)


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_the_quick_mean_of_a_mixture_is_the_exact_one(sigma):
    """By products of coefficients and the components that matter; with gradients, by all of them."""
    prior = load_prior("gmm")
    noisy = prior.sample(300, sigma, generator=generator())
    with torch.no_grad():
        quick = prior.patch_denoise(noisy, sigma)
    exact = prior.patch_denoise(noisy.clone().requires_grad_(), sigma).detach()
    assert (quick - exact).square().mean().sqrt() < 0.006 * sigma
    assert (quick - noisy).square().mean().sqrt() > 0.2 * sigma


def test_a_mixture_is_found_again():
    truth = GaussianMixturePrior.from_covariances(torch.tensor([0.7, 0.3]), covariances(2, 8))
    draw, sigma = generator(), 0.01

    def batches():
        while True:
            yield truth.sample(4000, sigma, generator=draw)

    found = fit_mixture(batches(), components=2, sigma=sigma, steps=60, generator=generator(1))
    fresh = truth.sample(20_000, sigma, generator=generator(2))
    lost = truth.patch_log_prob(fresh, sigma).mean() - found.patch_log_prob(fresh, sigma).mean()
    assert 0 < float(lost) < 0.02
