"""Priors of patches: densities that are densities, scores that are gradients, denoisers that are Tweedie's."""

from __future__ import annotations

import math

import pytest
import torch

from deconv.prior import (
    FlowPrior,
    GaussianMixturePrior,
    Prior,
    cosine_basis,
    detail_power,
    fit_mixture,
    haar,
    load_prior,
)
from deconv.prior.patches import PatchGrid
from deconv.prior.tilings import tiling_margins


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def covariances(components: int = 3, dimensions: int = 63) -> torch.Tensor:
    """From nearly flat to strong, of falling spectrum."""
    axes = torch.linalg.qr(random(components, dimensions, dimensions)).Q
    values = 0.3 * torch.exp(-0.15 * torch.arange(dimensions, dtype=torch.float64))
    scales = torch.logspace(-3, 0, components, dtype=torch.float64)
    return axes * (scales[:, None, None] * values) @ axes.mT


def mixture() -> GaussianMixturePrior:
    return GaussianMixturePrior.from_covariances(torch.tensor([0.5, 0.3, 0.2]), covariances()).double()


def bent_flow(amount: float = 0.05) -> FlowPrior:
    """A flow that is far from the identity."""
    flow = FlowPrior(mixture(), steps=3, width=6, depth=1, gates=3, generator=generator()).double()
    for i, parameter in enumerate(flow.parameters()):
        parameter.data += amount * random(*parameter.shape, seed=i)
    return flow.eval().requires_grad_(False)


PRIORS = {
    "mixture": mixture,
    "flow": bent_flow,
    "gmm": lambda: load_prior("gmm").double(),
    "shipped flow": lambda: load_prior("flow").double(),
}


@pytest.fixture(params=PRIORS, scope="module")
def prior(request):
    return PRIORS[request.param]()


@pytest.fixture(params=["mixture", "gmm"], scope="module")
def patch_prior(request):
    return PRIORS[request.param]()


def photograph(height: int = 40, width: int = 33) -> torch.Tensor:
    from skimage import data

    return torch.from_numpy(data.camera()[120 : 120 + height, 220 : 220 + width] / 255)[None, None]


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


def test_the_log_determinant_of_the_flow():
    flow, sigma = bent_flow(), torch.tensor([0.02])
    x = random(1, 1, 16, 8)
    means = x.unfold(2, 8, 8).unfold(3, 8, 8).mean((4, 5))

    def details(v):
        """From the coefficients of the blocks to those of the bent ones."""
        blocks = (v.view(1, 2, 63) @ cosine_basis(8) + means.view(1, 2, 1)).view(1, 2, 8, 8)
        bent, _ = flow.transform(blocks.reshape(1, 1, 16, 8), sigma.double())
        return (bent.reshape(1, 2, 64) @ cosine_basis(8).T).flatten()

    v = (x.reshape(1, 2, 64) @ cosine_basis(8).T).flatten()
    jacobian = torch.autograd.functional.jacobian(details, v)
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


@pytest.mark.parametrize("shape", [(8, 8), (13, 20)])
def test_haar_is_orthonormal_and_inverts(shape):
    x = random(2, 1, *(2 * n for n in shape))
    low, details = haar.analyse(x)
    torch.testing.assert_close(low.square().sum() + details.square().sum(), x.square().sum())
    torch.testing.assert_close(haar.synthesise(low, details), x)


def test_detail_power_is_what_patches_keep():
    """Every patch of a torus, its mean taken out."""
    x = random(1, 20, 17)
    around = torch.nn.functional.pad(x[None], (0, 7, 0, 7), mode="circular")[0]
    kept = PatchGrid(8, 1).gather(around).square().sum() / 64
    power = detail_power(8, (20, 17))
    filtered = torch.fft.irfft2(power * torch.fft.rfft2(x[0]), s=(20, 17))
    torch.testing.assert_close((filtered * x[0]).sum(), kept)
    assert abs(float(power[0, 0])) < 1e-12


def test_the_score_of_an_image_is_the_gradient_of_its_log_density(prior):
    image = photograph().clone().requires_grad_()
    for stride in (4, 8):
        (gradient,) = torch.autograd.grad(prior.log_prob(image, 0.03, stride=stride).sum(), image)
        torch.testing.assert_close(prior.score(image.detach(), 0.03, stride=stride), gradient)
        offset = {"stride": stride, "generator": generator(3)}
        (gradient,) = torch.autograd.grad(prior.log_prob(image, 0.03, **offset).sum(), image)
        offset = {"stride": stride, "generator": generator(3)}
        torch.testing.assert_close(prior.score(image.detach(), 0.03, **offset), gradient)


def test_brightness_symmetry_and_batches(prior):
    image = photograph(16, 16)
    value = prior.log_prob(image, 0.03)
    torch.testing.assert_close(prior.log_prob(image + 0.2, 0.03), value)
    batch = torch.cat([image, image.flip(-1), 1.1 * image])
    torch.testing.assert_close(prior.log_prob(batch, 0.03)[0], value[0])
    clean = prior.tweedie(image, 0.03, stride=4)
    torch.testing.assert_close(prior.tweedie(batch, 0.03, stride=4)[:1], clean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(prior.tweedie(image + 0.2, 0.03, stride=4), clean + 0.2, rtol=1e-5, atol=1e-6)


def test_memory_does_not_grow_with_the_image(monkeypatch):
    prior, image = load_prior("gmm"), photograph(120, 100).float()
    whole = prior.denoise(image, 0.1), prior.score(image, 0.1, stride=4), prior.log_prob(image, 0.1, stride=4)
    monkeypatch.setattr("deconv.prior.patches._AT_ONCE", 100)
    seen = []
    monkeypatch.setattr(prior, "joint", lambda v, s, joint=prior.joint: seen.append(len(v)) or joint(v, s))
    parts = prior.denoise(image, 0.1), prior.score(image, 0.1, stride=4), prior.log_prob(image, 0.1, stride=4)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert max(seen) <= 100


@pytest.mark.parametrize("shape", [(1, 1), (3, 20), (8, 8), (9, 31)])
def test_any_size_can_be_denoised(prior, shape):
    x = 0.5 + 0.1 * random(1, 2, *shape)
    assert prior.denoise(x, 0.1, stride=4).shape == x.shape
    flat = torch.full_like(x, 0.3)
    torch.testing.assert_close(prior.denoise(flat, 0.1, stride=4), flat, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "gain"), [("gmm", 7.0), ("flow", 7.3)])
def test_shipped_priors_denoise(name, gain):
    clean, sigma = photograph(96, 96), 25 / 255
    noisy = clean + sigma * random(1, 1, 96, 96)
    prior = load_prior(name).double()
    assert isinstance(prior, Prior)

    def decibels(x):
        return -10 * math.log10((x - clean).square().mean())

    assert decibels(prior.denoise(noisy, sigma)) > decibels(noisy) + gain


def test_further_passes_make_a_better_image():
    clean, sigma = photograph(96, 96), 25 / 255
    noisy = clean + sigma * random(1, 1, 96, 96)
    errors = [(load_prior("gmm").denoise(noisy, sigma, passes=n) - clean).square().mean() for n in (1, 3)]
    assert float(errors[1]) < 0.97 * float(errors[0])


def test_the_flow_knows_photographs_better_than_its_mixture():
    flow, image = load_prior("flow"), photograph(128, 128).float()
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


def test_tilings_are_a_quincunx_that_begins_anywhere():
    drawn = [
        [tuple(before % 8 for before, _ in margins) for margins in tiling_margins(8, 4, (20, 33), generator(seed))]
        for seed in range(600)
    ]
    assert all(((a - c) % 8, (b - d) % 8) == (4, 4) for (a, b), (c, d) in drawn)
    assert len({place for places in drawn for place in places}) == 64
    assert len(list(tiling_margins(8, 8, (20, 33), None))) == 1
    assert len(list(tiling_margins(8, 2, (20, 33), None))) == 8


def test_large_images_are_denoised_in_parts(monkeypatch):
    flow, image = load_prior("flow"), photograph(90, 120).float()
    whole = flow.denoise(image, 0.05, passes=1, stride=8)
    monkeypatch.setattr("deconv.prior.tilings._PART", 40)
    parts = flow.denoise(image, 0.05, passes=1, stride=8)
    assert float((whole - parts).abs().max()) < 0.005
    assert float((whole - parts).abs().median()) < 2e-4


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
    v = flow.sample(20_000, 0.1, generator=generator())
    # The mean ratio of the mixture's density to the one that was drawn from is one.
    blocks = (v @ cosine_basis(8).float()).view(-1, 1, 8, 8)
    ratio = flow.base.patch_log_prob(v, 0.1) - flow.block_log_prob(blocks, 0.1)
    assert float(ratio.std()) > 0.5
    assert abs(float(ratio.exp().mean()) - 1) < 0.03


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.log_prob(torch.zeros(1, 1, 7, 9)), r"image: expected \(B, C, H, W\) of 8 or more"),
        (lambda p: p.log_prob(torch.zeros(1, 1, 9, 9), stride=9), "stride: expected 1 to 8"),
        (lambda p: p.denoise(torch.zeros(1, 1, 9, 9), 0.1, stride=0), "stride: expected 1 to 8"),
        (lambda p: p.denoise(torch.zeros(1, 1, 9, 9), 0.1, passes=0), "passes: expected at least 1, given 0"),
        (lambda p: bent_flow().score(torch.zeros(1, 1, 7, 9)), r"image: expected \(B, C, H, W\) of 8 or more"),
        (lambda p: bent_flow().log_prob(torch.zeros(1, 1, 9, 9), stride=9), "stride: expected 1 to 8"),
        (lambda p: p.score(torch.zeros(1, 1, 9, 9), -1), "sigma: expected 0 or more, given -1"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call(mixture())


def test_its_recipe_learns():
    """A few steps lower the figure on the crops that they were taken on."""
    from deconv.training.data import Batch
    from deconv.training.prior import DENOISING, build_prior

    model = build_prior(image_shape=[1, 32, 32], steps=2, width=8, depth=1)
    batch = Batch((255 * photograph(64, 64).unfold(2, 32, 32).unfold(3, 32, 32)).byte().reshape(-1, 1, 32, 32))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    figures = []
    for _ in range(8):
        figures.append(DENOISING.loss(model, batch, generator()).mean())
        optimiser.zero_grad()
        figures[-1].backward()
        optimiser.step()
    assert DENOISING.loss(model.eval(), batch, generator()).shape == (len(batch.images),)
    assert float(figures[-1].detach()) < float(figures[0].detach())
