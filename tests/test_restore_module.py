"""Restoration methods as layers: values, gradients by finite differences, learning."""

from __future__ import annotations

import pytest
import torch
from priors import mixture
from restorations import PSF, observation
from torch.autograd import forward_ad

from deconv import restore
from deconv.imaging import degrade
from deconv.imaging.psf import gaussian
from deconv.restore import METHODS, Restoration, Statistics
from deconv.restore.unrolled import UnrolledDeconvolution

# Those whose derivatives are worth the time. What unsupervised_wiener estimates counts as constant: its gradient is not
# that of finite differences.
DIFFERENTIABLE = [
    name
    for name, method in METHODS.items()
    if (method.pace is None or method.pace < 30) and name not in ("recursive", "unsupervised_wiener")
]


def halve(x, sigma):
    return 0.5 * x


def small_network() -> UnrolledDeconvolution:
    network = UnrolledDeconvolution(weights=(0.1, 1.0), width=2)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    return network


def small(name: str) -> tuple[Restoration, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 5, 6, generator=generator, dtype=torch.float64)
    psf = 0.1 + torch.rand(2, 3, generator=generator, dtype=torch.float64)
    learn = [] if name in ("plug_and_play", "epll") else METHODS[name].learnable[:1]
    options = dict.fromkeys(learn, 0.05) | {"learn": learn}
    its = {"plug_and_play": ("denoiser", halve), "network": ("model", small_network()), "epll": ("prior", mixture())}
    options |= dict([its[name]] if name in its else [])
    layer = Restoration(name, num_iter=2, statistics=Statistics.of(image, 0.05), **options).double()
    return layer, image, psf / psf.sum()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_of_image_psf_and_what_is_learnt(name):
    layer, image, psf = small(name)
    names = [name for name, _ in layer.named_parameters()]

    def restored(image, psf, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (image, psf)).flatten()[::4]

    inputs = [t.detach().clone().requires_grad_() for t in (image, psf, *layer.parameters())]
    assert torch.autograd.gradcheck(restored, inputs, rtol=1e-4, atol=1e-7, fast_mode=True)


@pytest.mark.parametrize("name", [*DIFFERENTIABLE, "epll"])
def test_all_ways_to_differentiate_agree(name):
    layer, image, psf = small(name)
    moved = torch.rand(image.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def energy(y):
        return layer(y, psf).square().sum()

    leaf = image.clone().requires_grad_()
    energy(leaf).backward()
    torch.testing.assert_close(torch.func.grad(energy)(image), leaf.grad)
    expected = (leaf.grad * moved).sum()
    torch.testing.assert_close(torch.func.jvp(energy, (image,), (moved,))[1], expected)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(energy(forward_ad.make_dual(image, moved))).tangent
        torch.testing.assert_close(tangent, expected)


def test_a_layer_is_its_method():
    image = torch.from_numpy(observation())
    expected = restore.total_variation(image, PSF, weight=0.01, isotropic=False)
    for method in ("total_variation", restore.total_variation):
        layer = Restoration(method, weight=0.01, isotropic=False)
        torch.testing.assert_close(layer(image, PSF), expected)
        assert not list(layer.parameters())
    torch.testing.assert_close(
        layer(image, PSF, weight=0.1), restore.total_variation(image, PSF, weight=0.1, isotropic=False)
    )


def test_what_is_learnt_stays_positive_and_finds_the_best():
    sharp = torch.from_numpy(observation())
    psf = gaussian(1.0, 5).double()
    blurred = degrade(sharp, psf, noise=0.02, seed=0, boundary="circular")
    layer = Restoration("tikhonov", weight=1e-4, boundary="circular", learn=["weight"])
    before = float((layer(blurred, psf) - sharp).detach().square().mean())
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.5)
    for _ in range(15):
        optimiser.zero_grad()
        loss = (layer(blurred, psf) - sharp).square().mean()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.6 * before
    assert float(layer.logarithms["weight"].detach().exp()) > 1e-3


def test_denoisers_are_submodules_that_learn():
    class Shrink(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(0.9))

        def forward(self, x, sigma):
            return self.factor * x

    layer = Restoration("plug_and_play", denoiser=Shrink(), num_iter=2)
    assert [name for name, _ in layer.named_parameters()] == ["denoiser.factor"]
    layer(torch.rand(1, 1, 12, 12), PSF.float()).square().sum().backward()
    assert float(layer.denoiser.factor.grad.abs()) > 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("sharpen", {}), ValueError, "method: unknown 'sharpen', allowed are"),
        (("wiener", {"tv": 1}), TypeError, "tv: wiener does not take it; it takes"),
        (("wiener", {"learn": ["sigma"]}), ValueError, "learn: unknown 'sigma', allowed are noise_to_signal"),
        (("wiener", {"learn": "noise_to_signal"}), ValueError, "noise_to_signal: to be learnt it needs a positive"),
        (("tikhonov", {"weight": -1.0, "learn": "weight"}), ValueError, "weight: to be learnt it needs"),
    ],
)
def test_errors(arguments, error, message):
    method, options = arguments
    with pytest.raises(error, match=message):
        Restoration(method, **options)
