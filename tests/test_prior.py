"""Every prior of patches: scores of images that are gradients, denoisers of images of any size, errors."""

from __future__ import annotations

import math

import pytest
import torch
from priors import PRIORS, bent_flow, generator, mixture, photograph, random

from deconv.prior import Prior, load_prior


@pytest.fixture(params=PRIORS, scope="module")
def prior(request):
    return PRIORS[request.param]()


@pytest.fixture(params=["mixture", "flow"], scope="module")
def made_prior(request):
    """Those that are made here: what does not depend on the weights need not be shown for those that are shipped."""
    return PRIORS[request.param]()


def test_the_score_of_an_image_is_the_gradient_of_its_log_density(prior):
    image = photograph(24, 17).clone().requires_grad_()
    for stride in (4, 8):
        (gradient,) = torch.autograd.grad(prior.log_prob(image, 0.03, stride=stride).sum(), image)
        torch.testing.assert_close(prior.score(image.detach(), 0.03, stride=stride), gradient)
        offset = {"stride": stride, "generator": generator(3)}
        (gradient,) = torch.autograd.grad(prior.log_prob(image, 0.03, **offset).sum(), image)
        offset = {"stride": stride, "generator": generator(3)}
        torch.testing.assert_close(prior.score(image.detach(), 0.03, **offset), gradient)


def test_transforms_of_functions_agree_with_autograd(made_prior):
    image, moved = photograph(16, 16), random(1, 1, 16, 16)
    for value in (
        lambda x: made_prior.log_prob(x, 0.03, stride=8).sum(),
        lambda x: made_prior.score(x, 0.03, stride=8).square().sum(),
        lambda x: made_prior.tweedie(x, 0.03, stride=8).square().sum(),
    ):
        leaf = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(value(leaf), leaf)
        close = {"rtol": 1e-4, "atol": 1e-4 * float(gradient.abs().max())}  # improbable components are left out
        torch.testing.assert_close(torch.func.grad(value)(image), gradient, **close)
        torch.testing.assert_close(torch.func.jvp(value, (image,), (moved,))[1], (gradient * moved).sum(), **close)


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
def test_any_size_can_be_denoised(made_prior, shape):
    x = 0.5 + 0.1 * random(1, 2, *shape)
    assert made_prior.denoise(x, 0.1, stride=4).shape == x.shape
    flat = torch.full_like(x, 0.3)
    torch.testing.assert_close(made_prior.denoise(flat, 0.1, stride=4), flat, atol=1e-5, rtol=0)


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
