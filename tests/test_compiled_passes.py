"""The compiled passes of splitting do what the filters and proximal operators in torch do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from restorations import PSF, observation, random
from torch.autograd import forward_ad

from deconv import restore
from deconv.restore import compiled
from deconv.restore.derivatives import Gradient, Hessian, Identity
from deconv.restore.padded_domain import PaddedDomain
from deconv.restore.shrinkage import Shrinkage
from deconv.restore.splitting import Splits, Term

pytest.importorskip("numba")

WEIGHTS = torch.tensor([0.2, 0.9, 0.4], dtype=torch.float64).view(1, 3, 1, 1)
SOFT, HARD = Shrinkage("soft", 0.5), Shrinkage("hard", 0.5)
POWERS = Shrinkage("power", WEIGHTS, 2 / 3)
ROUNDED = Shrinkage("power", 0.5, 0.8)
CASES = {
    "first, soft": ([(Gradient(), SOFT)], torch.float64),
    "first, hard": ([(Gradient(), HARD)], torch.float64),
    "first, power": ([(Gradient(), POWERS)], torch.float64),
    "both, power": ([(Gradient(), POWERS), (Hessian(), POWERS)], torch.float64),
    "both, power, float32": ([(Gradient(), ROUNDED), (Hessian(), ROUNDED)], torch.float32),
}


def observed() -> np.ndarray:
    """In float32, as most are: a form compiled for each dtype takes longer than all that is done with it."""
    return observation().astype(np.float32)


@pytest.fixture(autouse=True)
def at_any_size(monkeypatch):
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 1)


def splits(terms, latent, penalty):
    """Of the terms on a domain of that image, which is not seen as a whole."""
    domain = PaddedDomain(
        latent[..., :-2, :-1] if latent.shape[2] > 2 else latent, torch.ones(1, 1, dtype=latent.dtype)
    )
    terms = [Term(analysis, prox, penalty * (1 + k), 1.3 + k) for k, (analysis, prox) in enumerate(terms)]
    return Splits(terms, domain, domain.start()), domain.shape


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(2, 3, 37, 22), (1, 3, 1, 5), (1, 3, 130, 2)])
def test_iterations(case, shape, monkeypatch):
    terms, dtype = CASES[case]
    latent = random(*shape, seed=1).to(dtype)
    penalty = torch.full((shape[0], 1, 1, 1), 1.4, dtype=dtype)
    penalty[-1] *= 2
    quick, size = splits(terms, latent, penalty)
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    plain, _ = splits(terms, latent, penalty)
    assert quick.compiled is not None
    assert plain.compiled is None
    exact = {"rtol": 1e-11, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    for seed in range(4):
        torch.testing.assert_close(quick.pull, plain.pull, **exact)
        for each in (quick, plain):
            each.update(random(*shape[:2], *size, seed=seed).to(dtype))


@pytest.mark.parametrize("boundary", ["unknown", "reflect"])
@pytest.mark.parametrize("method", [restore.total_variation, restore.hyper_laplacian, restore.l0_gradient])
def test_the_same_image(method, boundary, monkeypatch):
    image = np.stack([observation(), observation()[::-1]], -1)
    options = {"num_iter": 6, "boundary": boundary, "sigma": np.array([[0.01, 0.03]])}
    quick = method(image, PSF, **options)
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    np.testing.assert_allclose(quick, method(image, PSF, **options), atol=1e-7)


@pytest.mark.parametrize("asked", ["image", "psf", "weight"])
def test_gradients_do_not_depend_on_it(asked, monkeypatch):
    given = {"image": torch.from_numpy(observed()[:30, :30]), "psf": PSF, "weight": torch.tensor(0.02)}
    variable = given[asked].clone().requires_grad_()

    def slope() -> torch.Tensor:
        options = given | {asked: variable}
        restored = restore.total_variation(options["image"], options["psf"], weight=options["weight"], num_iter=3)
        return torch.autograd.grad(restored.square().sum(), variable)[0]

    compiled_is_there = slope()
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    torch.testing.assert_close(compiled_is_there, slope())


@pytest.mark.parametrize("asked", ["image", "psf"])
@pytest.mark.parametrize("method", [restore.hyper_laplacian, restore.richardson_lucy])
def test_forward_mode_does_not_lose_a_tangent_in_it(method, asked):
    given = {"image": torch.from_numpy(observed()[:30, :30]).double(), "psf": PSF}
    moved = random(*given[asked].shape, seed=1) / 100

    def value(variable: torch.Tensor) -> torch.Tensor:
        return method(**(given | {asked: variable}), sigma=0.01, num_iter=3).square().sum()

    leaf = given[asked].clone().requires_grad_()
    expected = (torch.autograd.grad(value(leaf), leaf)[0] * moved).sum()
    torch.testing.assert_close(torch.func.jvp(value, (given[asked],), (moved,))[1], expected)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(value(forward_ad.make_dual(given[asked], moved))).tangent
        torch.testing.assert_close(tangent, expected)


def test_layouts_with_the_channels_last(monkeypatch):
    """On a circular boundary the domain is the image, with the order of its pixels in memory."""
    image = np.stack([observed(), observed()[::-1], observed()[:, ::-1]], -1)
    quick = restore.total_variation(image, PSF, sigma=0.01, boundary="circular", num_iter=4)
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    again = restore.total_variation(image, PSF, sigma=0.01, boundary="circular", num_iter=4)
    np.testing.assert_allclose(quick, again, atol=2e-6)


@pytest.mark.parametrize(
    "given", [{"white": 0.6}, {"psf_field": torch.stack([PSF, PSF.flip(0)])[None]}, {"frames": True}]
)
def test_the_same_image_for_other_models_of_the_data(given, monkeypatch):
    image = [observed(), observed()[::-1].copy()] if "frames" in given else observed()
    options = {"num_iter": 6, "sigma": 0.01, "psf": None if "psf_field" in given else PSF, **given}
    quick = restore.total_variation(image, **options)
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    np.testing.assert_allclose(quick, restore.total_variation(image, **options), atol=2e-6)


def test_the_same_image_with_a_psf_for_each_channel(monkeypatch):
    image = np.stack([observed(), observed()[::-1]], -1)
    psfs = torch.stack([PSF, PSF.flip(0)])[None]
    quick = restore.total_variation(image, psfs, sigma=0.01, num_iter=6)
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    np.testing.assert_allclose(quick, restore.total_variation(image, psfs, sigma=0.01, num_iter=6), atol=2e-6)


@pytest.mark.parametrize("step", [0.0, torch.finfo(torch.float32).max, float("inf"), float("nan")])
def test_any_threshold_stays_in_the_table(step):
    latent = random(1, 3, 6, 7).float()
    penalty = 1 / torch.tensor(step)
    variables = compiled.compiled_variables([Term(Gradient(), POWERS, penalty)], latent, (6, 7), 1.7)
    pull = variables.update(latent, [penalty], [1.0])
    shrunk = -Gradient().adjoint(1.7 * Gradient().analyse(latent) - 0.7 * Gradient().analyse(latent))
    torch.testing.assert_close(pull, -shrunk if step == 0 else shrunk, rtol=1e-5, atol=1e-5)


def test_what_is_not_compiled():
    latent = random(1, 1, 8, 8)

    def found(analysis, prox, image=latent) -> bool:
        return compiled.compiled_variables([Term(analysis, prox, 1.0)], image, (8, 8), 1.7) is not None

    assert found(Gradient(), SOFT)
    assert not found(Identity(), SOFT)
    assert not found(Gradient(3), SOFT, random(1, 1, 4, 8, 8))
    assert not found(Gradient(), lambda v, t: v)
    assert not found(Gradient(), Shrinkage("soft", latent.abs()))
    assert not found(Gradient(), Shrinkage("soft", torch.rand(8)))
    assert not found(Gradient(), SOFT, latent.half())
    assert not found(Hessian(), SOFT)
    two = [Term(Gradient(), SOFT, 1.0), Term(Hessian(), HARD, 1.0)]
    assert compiled.compiled_variables(two, latent, (8, 8), 1.7) is None


@pytest.mark.parametrize("shape", [(2, 3, 7, 6, 5), (1, 2, 4, 1, 9), (2, 1, 9, 12), (1, 1, 1, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_smoothing_divides_by_the_curvature_of_contours(shape, dtype):
    latent, target = (random(*shape, seed=seed).to(dtype) for seed in (1, 2))
    weight = random(*shape[:2], *[1] * (len(shape) - 2), seed=3).to(dtype).abs()
    flat = torch.tensor(0.05, dtype=dtype)
    divide = compiled.compiled_smoothing(weight, flat, latent)
    assert divide is not None
    gradient = Gradient(len(shape) - 2)
    slopes = gradient.analyse(latent)
    expected = target / (1 + weight * gradient.adjoint(slopes / (slopes.norm(dim=0) + flat))).clamp_min(0.1)
    torch.testing.assert_close(divide(target, latent, weight, flat, 0.1), expected)


def test_smoothing_of_anything_else_is_left_to_torch():
    latent = random(1, 2, 4, 5, 3)
    assert compiled.compiled_smoothing(latent.abs(), torch.tensor(0.1), latent) is None
    assert compiled.compiled_smoothing(torch.rand(3), torch.tensor(0.1), latent) is None
    assert compiled.compiled_smoothing(torch.tensor(0.1), torch.tensor(0.1), latent.clone().requires_grad_()) is None


def test_richardson_lucy_is_the_same_without_compiled_smoothing(monkeypatch):
    found = restore.richardson_lucy(observed(), PSF, tv=0.02, num_iter=10)
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    np.testing.assert_allclose(found, restore.richardson_lucy(observed(), PSF, tv=0.02, num_iter=10), atol=1e-4)
