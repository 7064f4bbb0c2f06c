"""Flow models: initialisation by data, configurations, samples, interpolation, export."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
import torch
from flow_cases import small
from torch.func import grad, jacrev, vmap

from deconv import flows


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


def test_arrays_are_refused_by_name():
    with pytest.raises(TypeError, match="x: expected a tensor, given ndarray"):
        small().log_prob(np.zeros((1, 1, 8, 8)))


@pytest.mark.parametrize("name", ["inverse", "mintnet"])
def test_transforms_of_functions(name, generator):
    model, x = small(name).eval(), torch.rand(3, 1, 8, 8, generator=generator)
    score = vmap(grad(lambda image: model.log_prob(image[None])[0]))(x)
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(score, torch.autograd.grad(model.log_prob(leaf).sum(), leaf)[0])
    jacobian = jacrev(lambda image: model(image)[0])(x[:1]).reshape(64, 64).double()
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], model(x[:1])[1][0].double(), rtol=1e-4, atol=1e-3)


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


@pytest.mark.parametrize(("training", "levels"), [(True, 2), (False, 1)])
def test_compiles_as_one_graph(training, levels, generator):
    model = small(steps=1, levels=levels)
    x = torch.rand(2, 1, 8, 8, generator=generator)
    model.initialise(x)
    model.train(training)(x)
    compiled = torch.compile(model.log_prob, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model.log_prob(x))
