"""The compiled passes of splitting do what the filters and proximal operators in torch do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from restorations import PSF, observation, random

from deconv import restore
from deconv.restore import compiled
from deconv.restore.derivatives import Gradient, Hessian, Identity
from deconv.restore.shrinkage import Shrinkage

pytest.importorskip("numba")

GROWTH, RELAXATION = 1.3, 1.7
WEIGHTS = torch.tensor([0.2, 0.9, 0.4], dtype=torch.float64).view(1, 3, 1, 1)
SOFT, HARD = Shrinkage("soft", 0.5), Shrinkage("hard", 0.5)
POWERS = Shrinkage("power", WEIGHTS, 2 / 3)
CASES = {
    "first, soft": (Gradient(), SOFT, torch.float64),
    "first, hard": (Gradient(), HARD, torch.float64),
    "first, power": (Gradient(), POWERS, torch.float64),
    "second, power": (Hessian(), POWERS, torch.float64),
    "second, power, float32": (Hessian(), Shrinkage("power", 0.5, 0.8), torch.float32),
}


@pytest.fixture(autouse=True)
def at_any_size(monkeypatch):
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(2, 3, 37, 22), (1, 3, 1, 5), (1, 3, 70, 2)])
def test_one_iteration(case, shape):
    analysis, prox, dtype = CASES[case]
    latent = random(*shape, seed=1).to(dtype)
    responses, duals = (random(*analysis.analyse(latent).shape, seed=seed).to(dtype) for seed in (2, 3))
    height, width = (max(1, n - 3) for n in shape[2:])
    step = torch.full((shape[0], 1, 1, 1), 0.7, dtype=dtype)
    step[-1] *= 2
    passes = compiled.compiled_passes(analysis, prox, 1.0, latent)
    assert passes is not None

    pulled = passes.add_adjoint(latent.clone(), responses, duals, 1 / step)
    expected = latent + analysis.adjoint(responses + duals) / step
    exact = {"rtol": 1e-12, "atol": 1e-11} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(pulled, expected, **exact)

    wanted = torch.lerp(responses, analysis.analyse(latent), RELAXATION) - duals
    shrunk = wanted.clone()
    shrunk[..., :height, :width] = prox(wanted[..., :height, :width], step)
    passes.shrink(latent, responses, duals, step, (height, width), RELAXATION, GROWTH)
    torch.testing.assert_close(responses, shrunk.to(dtype), **exact)
    torch.testing.assert_close(duals, ((shrunk - wanted) / GROWTH).to(dtype), **exact)


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
    given = {"image": torch.from_numpy(observation()[:30, :30]), "psf": PSF, "weight": torch.tensor(0.02).double()}
    variable = given[asked].clone().requires_grad_()

    def slope() -> torch.Tensor:
        options = given | {asked: variable}
        restored = restore.total_variation(options["image"], options["psf"], weight=options["weight"], num_iter=3)
        return torch.autograd.grad(restored.square().sum(), variable)[0]

    compiled_is_there = slope()
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    torch.testing.assert_close(compiled_is_there, slope())


def test_layouts_with_the_channels_last(monkeypatch):
    """On a circular boundary the domain is the image, with the order of its pixels in memory."""
    image = np.stack([observation(), observation()[::-1], observation()[:, ::-1]], -1)
    quick = restore.total_variation(image, PSF, sigma=0.01, boundary="circular", num_iter=4)
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    again = restore.total_variation(image, PSF, sigma=0.01, boundary="circular", num_iter=4)
    np.testing.assert_allclose(quick, again, atol=1e-7)


@pytest.mark.parametrize("step", [0.0, torch.finfo(torch.float64).max, float("inf"), float("nan")])
def test_any_threshold_stays_in_the_table(step):
    latent = random(1, 3, 6, 7)
    responses = Gradient().analyse(latent)
    passes = compiled.compiled_passes(Gradient(), POWERS, 1.0, latent)
    passes.shrink(
        latent, responses, torch.zeros_like(responses), torch.tensor(step).double(), (6, 7), RELAXATION, GROWTH
    )
    assert bool((responses.nan_to_num() == 0).all()) == (step != 0)


def test_what_is_not_compiled():
    latent = random(1, 1, 8, 8)
    assert compiled.compiled_passes(Identity(), SOFT, 1.0, latent) is None
    assert compiled.compiled_passes(Gradient(3), SOFT, 1.0, random(1, 1, 4, 8, 8)) is None
    assert compiled.compiled_passes(Gradient(), lambda v, t: v, 1.0, latent) is None
    assert compiled.compiled_passes(Gradient(), Shrinkage("soft", latent.abs()), 1.0, latent) is None
    assert compiled.compiled_passes(Gradient(), Shrinkage("soft", torch.rand(8)), 1.0, latent) is None
    assert compiled.compiled_passes(Gradient(), SOFT, 1.0, latent.half()) is None


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
    found = restore.richardson_lucy(observation(), PSF, tv=0.02, num_iter=10)
    monkeypatch.setattr(compiled, "_LEAST_PIXELS", 10**9)
    np.testing.assert_allclose(found, restore.richardson_lucy(observation(), PSF, tv=0.02, num_iter=10), atol=1e-4)
