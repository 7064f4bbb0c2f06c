"""The compiled networks of the prior's flow, and the gradient written out for them, are what torch makes of both."""

from __future__ import annotations

import pytest
import torch
from priors import bent_flow, random

from deconv.prior import FlowPrior, compiled
from deconv.prior.detail_step import DetailStep

# Given details (none, one, two), hidden layers, images, height, width, and whether biases differ from image to image.
NETWORKS = {
    "nothing given": (0, 2, 1, 8, 12, False),
    "one given, no whole tiles": (1, 1, 2, 7, 5, True),
    "two given, no hidden layer": (2, 0, 3, 6, 9, False),
    "smaller than a tile": (1, 3, 2, 1, 2, True),
    "many tiles": (2, 1, 1, 30, 33, True),
}


def step_of(given: int, depth: int) -> DetailStep:
    number = {0: 0, 1: 1, 2: 2}[given]
    step = DetailStep(number, width=12, depth=depth, kernel_size=3, gates=3, features=4).double()
    assert step.given == given
    for seed, parameter in enumerate(step.parameters()):
        parameter.data = 0.3 * random(*parameter.shape, seed=seed)
    return step.eval().requires_grad_(False)


def poisoned(monkeypatch) -> None:
    """Memory that is not written yet holds NaN, where it was used before, too."""
    from deconv.prior.compiled.network import Network

    take = Network.take
    monkeypatch.setattr(Network, "take", lambda *given: take(*given).fill_(torch.nan))


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def network(request, monkeypatch):
    """A network by torch and by kernels, functions of an image, and that."""
    poisoned(monkeypatch)
    given, depth, images, height, width, own_biases = request.param
    step = step_of(given, depth)
    biases = [layer(random(images if own_biases else 1, 4, seed=9)) for layer in step.noise]
    image = (3 * random(images, given + 1, height, width)).requires_grad_()
    return (lambda x: step._by_torch(x, biases)), (lambda x: step._by_kernels(x, biases)), image


def test_values_and_gradients_are_those_of_torch(network):
    plain, quick, image = network
    expected, actual = plain(image), quick(image)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
    directions = [random(*each.shape, seed=k) for k, each in enumerate(expected)]
    (wanted,) = torch.autograd.grad(expected, image, directions)
    quick(image.detach() + 1)  # in memory of its own, as long as the graph is there
    for _ in range(2):
        (gradient,) = torch.autograd.grad(actual, image, directions, retain_graph=True)
        torch.testing.assert_close(gradient, wanted, rtol=1e-10, atol=1e-10)


def test_the_gradient_is_that_of_finite_differences_and_can_be_differentiated(network):
    _, quick, image = network
    direction, along = random(*image.shape, seed=4), random(1, seed=5)

    def value(t):
        shift, scale = quick(image.detach() + t * direction)
        return (shift.sin() + shift * scale).sum()

    assert torch.autograd.gradcheck(value, along.requires_grad_(), atol=1e-4, rtol=1e-6)
    assert torch.autograd.gradgradcheck(value, along, atol=1e-3, rtol=1e-5)


def test_single_precision_loses_a_digit_to_that_of_torch_at_most():
    step, image = step_of(2, 2), 3 * random(1, 3, 20, 24)
    biases = [layer(random(1, 4)) for layer in step.noise]
    exact = step._by_torch(image, biases)
    step, image, biases = step.float(), image.float(), [bias.float() for bias in biases]
    errors = [
        max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(made, exact, strict=True))
        for made in (step._by_torch(image, biases), step._by_kernels(image, biases))
    ]
    assert errors[1] < 10 * errors[0] < 1e-5


def test_a_flow_has_the_same_density_and_score(monkeypatch):
    flow, x, sigma = bent_flow(), 0.3 * random(2, 1, 16, 24), torch.tensor([0.01, 0.1], dtype=torch.float64)
    expected = flow.block_log_prob_and_score(x, sigma)
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 1)
    torch.testing.assert_close(flow.block_log_prob_and_score(x, sigma), expected, rtol=1e-9, atol=1e-9)


def test_what_is_not_compiled():
    def is_compiled(flow: FlowPrior, image: torch.Tensor, sigma: torch.Tensor) -> bool:
        return compiled.networks_are_compiled(flow, image, sigma)

    flow, large, sigma = bent_flow().float(), torch.zeros(1, 1, 64, 128), torch.tensor([0.1])
    assert is_compiled(flow, large, sigma)
    assert not is_compiled(flow, large[..., :120], sigma)
    assert not torch.vmap(lambda x: torch.tensor(is_compiled(flow, x, sigma)))(large[None]).any()
    assert not is_compiled(flow, large.half(), sigma)
    assert not is_compiled(flow, large.to("meta"), sigma)
    assert not is_compiled(flow, large, sigma.clone().requires_grad_())
    assert not is_compiled(flow.requires_grad_(), large, sigma)
