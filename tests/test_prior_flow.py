"""The flow over blocks: its determinant, its inverse, its scores, and what it knows of photographs."""

from __future__ import annotations

import pytest
import torch
from priors import bent_flow, generator, mixture, photograph, random

from deconv.prior import FlowPrior, cosine_basis, haar, load_prior
from deconv.prior.tilings import tiling_margins


@pytest.mark.parametrize("shape", [(8, 8), (13, 20)])
def test_haar_is_orthonormal_and_inverts(shape):
    x = random(2, 1, *(2 * n for n in shape))
    low, details = haar.analyse(x)
    torch.testing.assert_close(low.square().sum() + details.square().sum(), x.square().sum())
    torch.testing.assert_close(haar.synthesise(low, details), x)


def test_tilings_are_a_quincunx_that_begins_anywhere():
    drawn = [
        [tuple(before % 8 for before, _ in margins) for margins in tiling_margins(8, 4, (20, 33), generator(seed))]
        for seed in range(600)
    ]
    assert all(((a - c) % 8, (b - d) % 8) == (4, 4) for (a, b), (c, d) in drawn)
    assert len({place for places in drawn for place in places}) == 64
    assert len(list(tiling_margins(8, 8, (20, 33), None))) == 1
    assert len(list(tiling_margins(8, 2, (20, 33), None))) == 8


def test_the_log_determinant_of_the_flow():
    flow, sigma = bent_flow(), torch.tensor([0.02])
    x = random(1, 1, 16, 8)
    means = x.unfold(2, 8, 8).unfold(3, 8, 8).mean((4, 5))

    def details(v):
        """From the coefficients of two blocks to those of the bent ones, `(B, 126)`."""
        blocks = v.view(-1, 2, 63) @ cosine_basis(8) + means.view(1, 2, 1)
        bent, _ = flow.transform(blocks.reshape(-1, 1, 16, 8), sigma.double().expand(len(v)))
        return (bent.reshape(-1, 2, 64) @ cosine_basis(8).T).flatten(1)

    v = (x.reshape(1, 2, 64) @ cosine_basis(8).T).flatten(1)
    copies = v.repeat(126, 1).requires_grad_()  # one for each row of the Jacobian
    (jacobian,) = torch.autograd.grad(details(copies).diagonal().sum(), copies)
    base = flow.base.patch_log_prob(0.02 * details(v).view(2, 63), 0.02).sum()
    expected = torch.linalg.slogdet(jacobian).logabsdet + base
    torch.testing.assert_close(flow.block_log_prob(0.02 * x, 0.02), expected[None], rtol=1e-6, atol=1e-5)
    assert float((details(v) - v).abs().max()) > 0.05


def test_the_flow_is_the_mixture_before_training():
    flow = FlowPrior(mixture(), steps=2, width=6, depth=1, generator=generator()).double()
    for step in (step for steps in flow.scales for step in steps):
        step.convolution.taps.data.zero_()
        step.convolution.lower.data.zero_()
    image = photograph(24, 16)
    torch.testing.assert_close(flow.log_prob(image, 0.05), mixture().log_prob(image, 0.05, stride=8))


def test_the_flow_inverts():
    flow, sigma = bent_flow(), torch.tensor([0.05], dtype=torch.float64)
    x = random(2, 1, 16, 24)
    bent, _ = flow.transform(x, sigma)
    means = x.unfold(2, 8, 8).unfold(3, 8, 8).mean((4, 5))
    torch.testing.assert_close(flow.inverse_transform(bent, means, sigma), x)


def test_the_score_of_the_flow_can_be_differentiated():
    flow = bent_flow()
    x = (0.3 + 0.1 * random(1, 1, 8, 16)).requires_grad_()
    direction = random(1, 1, 8, 16, seed=2)
    (product,) = torch.autograd.grad((flow.block_score(x, 0.05) * direction).sum(), x)
    step = 1e-5
    there, here = (flow.block_score(x.detach() + s * step * direction, 0.05) for s in (1, -1))
    numeric = (there - here) / (2 * step)
    assert float((product - numeric).norm() / numeric.norm()) < 0.02


def test_images_may_have_noise_of_their_own():
    flow, x = bent_flow(), 0.1 * random(2, 1, 16, 8)
    together = flow.block_log_prob(x, torch.tensor([0.01, 0.1]))
    apart = torch.cat([flow.block_log_prob(x[:1], 0.01), flow.block_log_prob(x[1:], 0.1)])
    torch.testing.assert_close(together, apart)


def test_the_flow_knows_photographs_better_than_its_mixture():
    flow, image = load_prior("flow"), photograph(64, 96).float()
    for sigma in (0.005, 0.01, 0.03, 0.1):
        noisy = image + sigma * torch.randn(image.shape, generator=generator())
        lead = flow.log_prob(noisy, sigma) - flow.base.log_prob(noisy, sigma, stride=8)
        assert float(lead) / image.numel() > 0.003


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_the_quick_score_of_the_flow_is_the_exact_one(sigma):
    """What a denoiser moves an image by, in units of the noise."""
    flow = load_prior("flow")
    noisy = photograph(48, 64).float() + sigma * torch.randn(1, 1, 48, 64, generator=generator())
    exact, quick = (sigma * score(noisy, sigma) for score in (flow.block_score, flow._denoising_score))
    assert (quick - exact).square().mean().sqrt() < 0.01
    assert exact.square().mean().sqrt() > 0.5


def test_large_images_are_denoised_in_parts(monkeypatch):
    flow, image = load_prior("flow"), photograph(90, 120).float()
    whole = flow.denoise(image, 0.05, passes=1, stride=8)
    monkeypatch.setattr("deconv.prior.tilings._PART", 40)
    parts = flow.denoise(image, 0.05, passes=1, stride=8)
    assert float((whole - parts).abs().max()) < 0.005
    assert float((whole - parts).abs().median()) < 2e-4


def test_a_generator_decides_the_whole_start():
    flows = [FlowPrior(mixture().float(), steps=1, width=4, depth=1, generator=generator(seed)) for seed in (0, 0, 1)]
    first, again, other = ([p.detach() for p in flow.parameters() if p.any()] for flow in flows)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True) if a.unique().numel() > 3)
    state = torch.random.get_rng_state()
    FlowPrior(mixture(), steps=1, width=4, depth=1, generator=generator())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_samples_look_like_the_density():
    flow = bent_flow(0.01).float()
    v = flow.sample(6000, 0.1, generator=generator())
    # The mean ratio of the mixture's density to the one that was drawn from is one.
    blocks = (v @ cosine_basis(8).float()).view(-1, 1, 8, 8)
    ratio = flow.base.patch_log_prob(v, 0.1) - flow.block_log_prob(blocks, 0.1)
    assert float(ratio.std()) > 0.5
    assert abs(float(ratio.exp().mean()) - 1) < 0.03


def test_its_recipe_learns():
    """A few steps lower the figure on the crops that they were taken on."""
    from deconv.training.data import Batch
    from deconv.training.prior import DENOISING, build_prior

    model = build_prior(image_shape=[1, 32, 32], steps=2, width=8, depth=1)
    batch = Batch((255 * photograph(64, 32).unfold(2, 32, 32).unfold(3, 32, 32)).byte().reshape(-1, 1, 32, 32))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    figures = []
    for _ in range(8):
        figures.append(DENOISING.loss(model, batch, generator()).mean())
        optimiser.zero_grad()
        figures[-1].backward()
        optimiser.step()
    assert DENOISING.loss(model.eval(), batch, generator()).shape == (len(batch.images),)
    assert float(figures[-1].detach()) < float(figures[0].detach())
