"""Likelihood in bits, and what turns whole numbers into densities: dequantisation and bases."""

from __future__ import annotations

import math

import pytest
import torch
from flow_cases import small

from deconv import flows


def whole(generator, batch=8, levels=256, shape=(1, 8, 8)):
    return torch.randint(0, levels, (batch, *shape), generator=generator, dtype=torch.uint8)


def test_bits_per_dim_of_the_uniform_density(generator):
    """With no layer at all, and a base that is uniform on [0, 1], every image takes exactly 8 bits."""

    class Uniform(torch.nn.Module):
        def log_prob(self, z):
            return torch.where((z >= 0) & (z <= 1), 0.0, -math.inf).sum(1)

    model = flows.FlowModel((1, 4, 4), lambda shape: flows.Sequential(), levels=1, steps=1, base=Uniform())
    bits = flows.bits_per_dim(model, whole(generator, shape=(1, 4, 4)), generator=generator)
    torch.testing.assert_close(bits, torch.full((8,), 8.0))


@pytest.mark.parametrize("levels", [2, 4])
def test_density_of_whole_numbers_sums_to_one(levels, generator):
    """Over all images of four pixels: what they take in bits says how probable they are, at every number of levels."""
    model = flows.FlowModel(
        (1, 2, 2),
        lambda shape: flows.Sequential(flows.OneByOne(4), flows.AffineCoupling(4, 4)),
        levels=1,
        steps=1,
        preprocessing=flows.Logit(),
        dequantisation=flows.UniformDequantisation(levels),
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        every = torch.cartesian_prod(*4 * [torch.arange(levels)]).reshape(-1, 1, 2, 2)
        total, repeats = 0.0, 300
        for _ in range(repeats):
            bits = flows.bits_per_dim(model, every, generator=generator)
            total += float((-4 * math.log(2) * bits.double()).exp().sum()) / repeats
        # What the logit maps a little beyond black and white belongs to no image.
        inside = model.decode(torch.randn(20000, 4, generator=generator))
        share = float(((inside >= 0) & (inside <= 1)).all(3).all(2).all(1).float().mean())
    assert total == pytest.approx(share, rel=0.05)


def test_bits_do_not_depend_on_the_batch_or_on_calling_twice(generator):
    model = small().double().eval()
    images = whole(generator)
    x = (images.double() + 0.5) / 256
    with torch.no_grad():
        model.initialise(x)
        together = model.log_prob(x)
        torch.testing.assert_close(model.log_prob(x), together, rtol=0, atol=0)
        torch.testing.assert_close(torch.cat([model.log_prob(part) for part in x.split(3)]), together)
    one = flows.bits_per_dim(model, images, generator=torch.Generator().manual_seed(3))
    two = flows.bits_per_dim(model, images, generator=torch.Generator().manual_seed(3))
    assert torch.equal(one, two)


@pytest.mark.parametrize("dequantisation", ["uniform", "variational"])
def test_training_learns(dequantisation, generator):
    """A few steps of gradient descent code a simple distribution in clearly fewer bits."""
    model = small(steps=1, preprocessing="logit", dequantisation=dequantisation)
    images = whole(generator, 64).float().mul(0.1).add(100).to(torch.uint8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    bits = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = flows.bits_per_dim(model, images, generator=generator).mean()
        loss.backward()
        optimizer.step()
        bits.append(float(loss.detach()))
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert bits[-1] < bits[0] - 0.1
    assert bits[-1] > math.log2(25) - 1  # not below what 25 grey values take, by much


@pytest.mark.parametrize("base", [flows.StandardNormal(), flows.Logistic()])
def test_base_densities(base, generator):
    """They integrate to one, and their samples have the entropy that their density says."""
    z = torch.linspace(-40, 40, 20001, dtype=torch.float64)[:, None]
    density = base.log_prob(z).exp()
    assert float(torch.trapezoid(density, dx=80 / 20000)) == pytest.approx(1)
    entropy = -float(torch.trapezoid(density * base.log_prob(z), dx=80 / 20000))
    sampled = base.log_prob(base.sample((50000, 1), generator=generator))
    assert -float(sampled.mean()) == pytest.approx(entropy, abs=0.02)


@pytest.mark.parametrize("layer", [flows.UniformDequantisation(), flows.VariationalDequantisation(2)])
def test_dequantisation_keeps_the_whole_numbers(layer, generator):
    images = whole(generator, shape=(2, 4, 4))
    x, ladj = layer(images, generator=generator)
    assert x.dtype == torch.float32
    assert ladj.shape == (8,)
    assert x.min() >= 0
    assert x.max() < 1
    assert torch.equal(layer.inverse(x), images)


def test_dequantisation_at_the_edge_of_rounding():
    """Noise just below one does not lift a pixel to the next level."""
    from deconv.flows.dequantisation import join

    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    x = join(images, torch.full((1, 1, 16, 16), 1 - 2**-24), 256)
    assert torch.equal(flows.UniformDequantisation().inverse(x), images)


def test_variational_noise_has_the_density_it_says(generator):
    """E[1 / q(u)] over u from q is the volume of the unit cube."""
    layer = flows.VariationalDequantisation(1, couplings=2, width=4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        images = torch.tensor([3, 200], dtype=torch.uint8).reshape(1, 1, 1, 2).expand(40000, -1, -1, -1)
        _, ladj = layer(images, generator=generator)
    assert float((ladj.double() + 2 * math.log(256)).exp().mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.rand(1, 1, 2, 2), TypeError, "images: must be whole numbers"),
        (torch.zeros(1, 2, 2, dtype=torch.uint8), ValueError, r"images: must be \(B, C, H, W\)"),
        (torch.full((1, 1, 2, 2), 256), ValueError, "images: must lie in 0 ... 255, given 256 ... 256"),
    ],
)
def test_dequantisation_refuses(images, error, message):
    with pytest.raises(error, match=message):
        flows.UniformDequantisation()(images)
