"""Flow models: samples, initialisation, and what single layers have beyond the contract."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from flow_cases import small

from deconv import flows


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


# Initialisation by data


@pytest.mark.parametrize("name", flows.FLOWS)
def test_data_dependent_initialisation(name, generator):
    """The first forward in training mode, and only that one, makes every ActNorm's output normalised."""
    model = small(name)
    x = 0.2 + 0.1 * torch.rand(64, 1, 8, 8, generator=generator)
    model.eval()(x)
    assert not model.initialised
    seen = {}
    hooks = [
        module.register_forward_hook(lambda module, inputs, output: seen.update({module: output[0]}))
        for module in model.modules()
        if isinstance(module, flows.ActNorm)
    ]
    model.train()(x)
    assert model.initialised
    for output in seen.values():
        torch.testing.assert_close(output.mean((0, 2, 3)), torch.zeros(output.shape[1]), atol=1e-3, rtol=0)
        torch.testing.assert_close(output.std((0, 2, 3)), torch.ones(output.shape[1]), atol=1e-2, rtol=0)
    for hook in hooks:
        hook.remove()
    state = copy.deepcopy(model.state_dict())
    model(1 - x)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    model.initialise(1 - x)
    assert any(not torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_a_constant_channel_is_only_shifted():
    layer = flows.ActNorm(2)
    x = torch.stack([torch.full((3, 4), 7.0), torch.arange(12.0).reshape(3, 4)])[None]
    z, ladj = layer(x)
    assert (z[:, 0] == 0).all()
    assert torch.isfinite(ladj).all()


# Models


@pytest.mark.parametrize("name", flows.FLOWS)
def test_config_rebuilds_the_model(name, generator):
    model = small(
        name,
        num_classes=3,
        preprocessing="logit",
        logit_alpha=1e-3,
        coupling="spline",
        dequantisation="variational",
        base="logistic",
    )
    twin = flows.build_flow(**json.loads(json.dumps(model.config)))
    twin.load_state_dict(model.state_dict())
    x = torch.rand(2, 1, 8, 8, generator=generator)
    labels = torch.tensor([0, 2])
    assert torch.equal(model.eval().log_prob(x, labels), twin.eval().log_prob(x, labels))


def test_seed_makes_the_model_and_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first, second = small(seed=7), small(seed=7)
    assert torch.equal(torch.rand(3), expected)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_sampling(generator):
    model = small(preprocessing="logit").eval()
    images = model.sample(5, generator=torch.Generator().manual_seed(1))
    assert images.shape == (5, 1, 8, 8)
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, model.sample(5, generator=torch.Generator().manual_seed(1)))
    assert model.sample(2, temperature=0.0).diff(dim=0).abs().max() == 0
    assert model.sample(2, image_size=(12, 16), generator=generator).shape == (2, 1, 12, 16)


def test_samples_follow_the_density(generator):
    """The mean of log p over samples from p is minus the entropy, which the base and ladj give independently."""
    model = small(levels=1).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        z = torch.randn(500, 64, generator=generator, dtype=torch.float64)
        x, ladj = model.inverse(z)
        back, back_ladj = model(x)
        torch.testing.assert_close(model.base.log_prob(back) + back_ladj, model.base.log_prob(z) - ladj)


def test_latents_and_interpolation(generator):
    model = small().eval()
    first, second = torch.rand(2, 3, 1, 8, 8, generator=generator)
    with torch.no_grad():
        parts, ladj = model.latents(first)
        z, flat_ladj = model(first)
        assert [part.shape[1:] for part in parts] == [(2, 4, 4), (8, 2, 2)] == model.latent_shapes()
        assert torch.equal(torch.cat([part.flatten(1) for part in parts], 1), z)
        assert torch.equal(ladj, flat_ladj)
        assert all(map(torch.equal, model.unflatten(z), parts))
        between = model.interpolate(first, second, 4)
    assert between.shape == (4, 3, 1, 8, 8)
    torch.testing.assert_close(between[0], first, atol=1e-4, rtol=0)
    torch.testing.assert_close(between[-1], second, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("base", "deviation"), [("normal", 1.0), ("logistic", math.pi / math.sqrt(3))])
def test_interpolation_passes_through_likely_latents(generator, monkeypatch, base, deviation):
    """However unlikely both ends are, and whatever the angle between them."""
    model, likely = small(base=base).eval(), deviation * 8.0  # for 64 variables
    latents = {0.0: 5 * torch.randn(3, 64, generator=generator), 1.0: 2 * torch.randn(3, 64, generator=generator)}
    latents[1.0][0] = -0.5 * latents[0.0][0]  # opposite, and of another length
    latents[1.0][1] = 0.1 * latents[0.0][1]  # along the other, and likely
    path = []
    monkeypatch.setattr(model, "encode", lambda image, context: latents[float(image.mean())])
    monkeypatch.setattr(model, "decode", lambda z, context, image_size: path.append(z) or torch.zeros(3, 1, 8, 8))
    model.interpolate(torch.zeros(3, 1, 8, 8), torch.ones(3, 1, 8, 8), 9)
    torch.testing.assert_close(path[0], latents[0.0])
    torch.testing.assert_close(path[-1], latents[1.0])
    lengths = torch.stack([z.norm(dim=1) for z in path])
    assert lengths.isfinite().all()
    assert (lengths <= torch.maximum(lengths[0], lengths[-1]) + 1e-4).all()
    excess = (lengths[[0, -1]] - likely).clamp_min(0).sum(0)
    assert (lengths[4] <= likely + excess / 16 + 1e-4).all()
    cosines = [torch.nn.functional.cosine_similarity(z, path[0]).clamp(-1, 1).acos()[2] for z in path]
    torch.testing.assert_close(torch.stack(cosines).diff(), cosines[-1].expand(8) / 8, atol=2e-3, rtol=0)


def test_labels_matter_and_are_needed(generator):
    model = small("glow", num_classes=4).eval()
    x = torch.rand(2, 1, 8, 8, generator=generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    zero, one = torch.tensor([0, 0]), torch.tensor([1, 1])
    assert (model.log_prob(x, zero) != model.log_prob(x, one)).all()
    assert model.sample(2, context=one).shape == (2, 1, 8, 8)
    for context, message in ((None, "given none"), (torch.zeros(2), "int64 labels"), (torch.tensor([1]), "int64")):
        with pytest.raises(ValueError, match=f"context: .*{message}"):
            model(x, context)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flows.build_flow("real", (1, 8, 8), levels=1, steps=1), "name: unknown 'real', allowed are inv"),
        (lambda: small(preprocessing="log"), "preprocessing: unknown 'log', allowed are centre, logit"),
        (lambda: small(levels=4), r"image_shape: height and width must be divisible by 16 .* given \(8, 8\)"),
        (lambda: small(levels=0), "levels, steps: must be positive, given 0 and 2"),
        (lambda: small()(torch.rand(1, 1, 8, 6)), r"x: height and width must be divisible by 4 .* given \(8, 6\)"),
        (lambda: small()(torch.rand(1, 3, 8, 8)), r"x: must be .* \(B, 1, H, W\)"),
        (lambda: small().inverse(torch.rand(1, 63)), r"z: must have shape \(B, 64\)"),
        (lambda: small().sample(0), "n: must be positive, given 0"),
        (lambda: small().sample(1, temperature=-1), "temperature: must not be negative"),
        (lambda: small("emerging", kernel_size=2), "kernel_size: must be odd, given 2"),
        (lambda: flows.InverseUnit(2, corners=("up",)), "corners: unknown 'up'"),
        (lambda: flows.OneByOne(2, parametrisation="qr"), "parametrisation: unknown 'qr'"),
        (lambda: flows.AffineCoupling(1), "channels: a coupling needs at least 2, given 1"),
        (lambda: flows.Logit(0.5), "alpha: must lie in"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Single layers


@pytest.mark.parametrize(("name", "size"), [("inverse", 3), ("emerging", 3), ("macow", 3), ("mintnet", 3)])
def test_every_pixel_sees_all_its_neighbours(name, size, generator):
    """The chained corners and orders leave no pixel of the window out."""
    layer = {
        "inverse": lambda: flows.InverseUnit(4, size),
        "emerging": lambda: flows.EmergingConvolution(4, size),
        "macow": lambda: flows.MaCowUnit(4, size),
        "mintnet": lambda: flows.MintNetUnit(4, size),
    }[name]().double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    x = torch.randn(1, 4, 5, 5, generator=generator, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda x: layer(x)[0][0, :, 2, 2])(x)
    assert (jacobian.abs().amax((0, 1, 2))[1:4, 1:4] > 0).all()


def test_self_normalizing_gradient(generator):
    """With the true inverse beside it, the gradient in training is that of the exact determinant."""
    layer = flows.SelfNormalizingConvolution(2, 3, penalty=0.0).double()
    with torch.no_grad():  # small off-centre taps: the two-term series is the inverse to second order
        offset = 1e-4 * torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
        centre = torch.zeros_like(layer.weight)
        centre[:, :, 1, 1] = torch.eye(2)
        layer.weight.copy_(centre + offset)
        layer.inverse_weight.copy_(centre - offset)
    x = torch.randn(3, 2, 5, 6, generator=generator, dtype=torch.float64)
    gradients = []
    for mode in (True, False):
        _, ladj = layer.train(mode)(x)
        gradients.append(torch.autograd.grad(ladj.sum(), layer.weight)[0])
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-5)


def test_self_normalizing_inverse_is_learnt(generator):
    layer = flows.SelfNormalizingConvolution(2, 3)
    with torch.no_grad():
        layer.weight += 0.05 * torch.randn(layer.weight.shape, generator=generator)
    x = torch.randn(16, 2, 6, 6, generator=generator)

    def error():
        return float((layer.inverse(layer.eval()(x)[0])[0] - x).square().mean().detach())

    before = error()
    optimizer = torch.optim.Adam([layer.inverse_weight], lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        (-layer.train()(x)[1].mean()).backward()
        optimizer.step()
    assert error() < before / 4


def test_fresh_mintnet_is_inverted():
    """Images of CIFAR's shape, in a model of eight steps."""
    model = flows.build_flow("mintnet", (3, 32, 32), levels=2, steps=4, width=64, seed=0)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model.initialise(images)
    with torch.no_grad():
        torch.testing.assert_close(model.eval().decode(model.encode(images)), images, atol=1e-3, rtol=0)


def test_mintnet_raises_rather_than_return_a_wrong_image(generator):
    layer = flows.MintNetLayer(2, 3, iterations=1).double()
    z = torch.randn(1, 2, 4, 4, generator=generator, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="did not converge in 1 iterations"):
        layer.inverse(z)
    with pytest.raises(RuntimeError, match="did not converge"):
        layer.inverse(torch.full_like(z, torch.nan))


def test_butterfly_mixes_all_pixels(generator):
    layer = flows.ButterflyLayer((1, 3, 4)).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda x: layer(x)[0].flatten())(torch.zeros(1, 1, 3, 4, dtype=torch.float64))
    assert (jacobian.reshape(12, 12)[:8, :8] != 0).all()


def test_woodbury_is_the_dense_product(generator):
    layer = flows.Woodbury((3, 2, 4), rank=2).double()
    x = torch.randn(2, 3, 2, 4, generator=generator, dtype=torch.float64)
    channels = torch.eye(3) + layer.channels.left @ layer.channels.right
    pixels = torch.eye(8) + layer.pixels.left @ layer.pixels.right
    torch.testing.assert_close(layer(x)[0].flatten(2), channels @ x.flatten(2) @ pixels.mT)


def test_periodic_convolution_is_periodic(generator):
    layer = flows.PeriodicConvolution(2, 3).double()
    x = torch.randn(1, 2, 5, 6, generator=generator, dtype=torch.float64)
    expected = torch.nn.functional.conv2d(torch.nn.functional.pad(x, (1, 1, 1, 1), mode="circular"), layer.weight)
    torch.testing.assert_close(layer(x)[0], expected)


def test_spline_is_the_identity_outside_and_monotone_inside(generator):
    raw = [2 * torch.randn(1, size, generator=generator, dtype=torch.float64) for size in (6, 6, 5)]
    x = torch.linspace(-3, 3, 401, dtype=torch.float64)
    y, _ = flows.rational_quadratic_spline(x, *(part.expand(401, -1) for part in raw), bound=2.0)
    assert (y.diff() > 0).all()
    outside = x.abs() > 2
    assert torch.equal(y[outside], x[outside])
    zeros = [torch.zeros(401, size, dtype=torch.float64) for size in (6, 6, 5)]
    torch.testing.assert_close(flows.rational_quadratic_spline(x, *zeros, bound=2.0)[0], x)


@pytest.mark.parametrize("name", ["inverse", "glow"])
def test_sampling_exports(name):
    """The sampler is plain convolutions: an exported one gives the same images, with weights as constants."""
    model = small(name).eval()
    z = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))

    class Sampler(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, z):
            return self.model.decode(z)

    with torch.no_grad():
        expected = model.decode(z)
        program = torch.export.export(Sampler(), (z,))
    operations = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [operation for operation in operations if "linalg" in operation or "deconv" in operation]
    torch.testing.assert_close(program.module()(z), expected)


def test_gaussianise_makes_grey_levels_normal():
    """After the histogram of a batch is taken, its dequantised pixels are standard normal, whatever they were."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.7, 0.0, 0.05, 0.15, 0.1])
    levels = torch.multinomial(shares, 20000, replacement=True, generator=generator)
    noise = torch.rand(20000, generator=generator, dtype=torch.float64)
    x = ((levels + noise) / 5).reshape(2, 1, 100, 100)
    layer = flows.Gaussianise(5).double().train()
    z, ladj = layer(x)
    quantiles = torch.special.ndtr(z.flatten()).sort().values
    assert (quantiles - torch.linspace(0, 1, 20000)).abs().max() < 0.02
    # The log-density under a normal law is that of the levels: minus their entropy, and the width of a level.
    base = flows.StandardNormal()
    likelihood = (base.log_prob(z.flatten(1)) + ladj).sum().detach() / 20000
    entropy = -torch.special.xlogy(shares, shares).sum()
    assert float(likelihood) == pytest.approx(float(math.log(5) - entropy), abs=0.02)
    assert layer.initialised


@pytest.mark.parametrize("training", [True, False])
def test_compiles_as_one_graph(training, generator):
    model = small(steps=1)
    x = torch.rand(2, 1, 8, 8, generator=generator)
    model.initialise(x)
    model.train(training)(x)
    compiled = torch.compile(model.log_prob, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model.log_prob(x))


def test_loading_another_state_is_noticed(generator):
    """A layer that loads a state without data starts from the next batch again."""
    layer, fresh = flows.ActNorm(2), flows.ActNorm(2)
    layer(3 + torch.randn(4, 2, 5, 5, generator=generator))
    layer.load_state_dict(fresh.state_dict())
    z, _ = layer(7 + torch.randn(4, 2, 5, 5, generator=generator))
    assert z.mean().abs() < 1e-5
