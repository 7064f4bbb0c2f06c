"""What single flow layers have beyond the contract of all."""

from __future__ import annotations

import math

import pytest
import torch

from deconv import flows


def test_a_constant_channel_is_only_shifted():
    layer = flows.ActNorm(2)
    x = torch.stack([torch.full((3, 4), 7.0), torch.arange(12.0).reshape(3, 4)])[None]
    z, ladj = layer(x)
    assert (z[:, 0] == 0).all()
    assert torch.isfinite(ladj).all()


def test_loading_another_state_is_noticed(generator):
    """A layer that loads a state without data starts from the next batch again."""
    layer, fresh = flows.ActNorm(2), flows.ActNorm(2)
    layer(3 + torch.randn(4, 2, 5, 5, generator=generator))
    layer.load_state_dict(fresh.state_dict())
    z, _ = layer(7 + torch.randn(4, 2, 5, 5, generator=generator))
    assert z.mean().abs() < 1e-5


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
