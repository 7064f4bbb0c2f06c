"""The mathematics under the restoration methods, against dense matrices, brute force and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from restorations import PSF, agreement, domain, observation, random

from deconv import restore
from deconv.imaging import convolve, degrade, psnr
from deconv.imaging.srgb import to_linear, to_srgb
from deconv.restore import shrinkage, splitting
from deconv.restore.algorithms import total_variation
from deconv.restore.derivatives import Gradient, Hessian, Identity
from deconv.restore.problem import Problem
from deconv.restore.spectra import fit_spectra
from deconv.restore.statistics import Statistics


def nth(iterator, n: int):
    return next(itertools.islice(iterator, n - 1, None))


@pytest.mark.parametrize("analysis", [Identity, Gradient, Hessian])
@pytest.mark.parametrize("shape", [(6, 8), (7, 5), (4, 6, 5), (1, 9)])
def test_derivatives_have_their_adjoint_and_power(analysis, shape):
    d = analysis(len(shape))
    x = random(2, 3, *shape)
    v = random(*d.analyse(x).shape, seed=1)
    torch.testing.assert_close((d.analyse(x) * v).sum(), (x * d.adjoint(v)).sum())
    axes = tuple(range(-len(shape), 0))
    by_power = torch.fft.irfftn(d.power(shape, x) * torch.fft.rfftn(x, dim=axes), s=shape, dim=axes)
    torch.testing.assert_close(d.adjoint(d.analyse(x)), by_power)


def test_the_hessian_does_not_depend_on_the_axes():
    """Its length over a parabola is the same along the axes and along the diagonals."""
    t = torch.arange(20, dtype=torch.float64)
    u, v = torch.meshgrid(t, t, indexing="ij")
    for parabola in (u**2, v**2, (u + v) ** 2 / 2, (u - v) ** 2 / 2):
        length = Hessian().analyse(parabola).square().sum(0).sqrt()[5:15, 5:15]
        torch.testing.assert_close(length, torch.full((10, 10), 2.0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("prox", "phi"),
    [
        (shrinkage.soft, lambda r: r),
        (shrinkage.hard, lambda r: (r > 0).double()),
        *[(lambda v, t, a=a: shrinkage.power(v, t, a), lambda r, a=a: r**a) for a in (0.3, 0.5, 2 / 3, 0.8, 0.95, 1.0)],
    ],
)
def test_shrinkage_minimises(prox, phi):
    r = torch.linspace(0, 20, 201, dtype=torch.float64)
    grid = torch.linspace(0, 20, 20001, dtype=torch.float64)
    for t in (0.01, 0.3, 2.0):
        z = prox(r[None], t)[0]
        cost = t * phi(z) + (z - r).square() / 2
        best = (t * phi(grid)[:, None] + (grid[:, None] - r).square() / 2).min(0).values
        assert float((cost - best).max()) < 2e-3 * max(t, t * float(phi(r.new_tensor(t))))
    # Groups keep their direction; signs do not matter.
    v = random(3, 50)
    torch.testing.assert_close(prox(-v, 0.5), -prox(v, 0.5))
    shrunk, length = prox(v, 0.5), v.square().sum(0).sqrt()
    torch.testing.assert_close(shrunk, v / length * prox(length[None], 0.5)[0], atol=1e-5, rtol=0)


def dense(operator, n: int) -> torch.Tensor:
    """The matrix of a linear function of an image on the domain."""
    return torch.stack([operator(e).flatten() for e in torch.eye(n, dtype=torch.float64)], 1)


@pytest.mark.parametrize(
    ("boundary", "mask"),
    [
        ("unknown", False),
        ("unknown", True),
        ("circular", False),
        ("circular", True),
        ("reflect", True),
        ("replicate", True),
    ],
)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_tikhonov_is_the_solution_of_its_normal_equations(boundary, mask, order):
    c = domain(boundary, mask=mask)
    n = math.prod(c.shape)
    blur = dense(lambda e: c.blur(e.view(1, 1, *c.shape)), n)
    allowed = dense(lambda e: c.project(e.view(1, 1, *c.shape)), n)
    basis = torch.linalg.svd(allowed)[0][:, : round(float(allowed.trace()))]
    derivative = (Identity, Gradient, Hessian)[order]()
    roughness = dense(lambda e: derivative.adjoint(derivative.analyse(e.view(1, 1, *c.shape))), n)
    mask = c.mask.expand(1, 1, *c.shape).flatten()
    normal = basis.T @ (blur.T @ (mask[:, None] * blur) + 0.05 * roughness) @ basis
    solution = basis @ torch.linalg.solve(normal, basis.T @ blur.T @ c.observed.flatten())

    power = 0.05 * derivative.power(c.shape, c.image)
    minimisation = splitting.quadratic(c, power)
    misfit = (mask * (c.observed.flatten() - blur @ solution).square()).sum()
    expected = 0.5 * misfit + 0.5 * 0.05 * solution @ roughness @ solution
    torch.testing.assert_close(minimisation.objective(solution.view(1, 1, *c.shape))[0], expected)
    # Derivatives take their time in what nobody sees.
    iterations = 300 if boundary == "circular" or order == 0 else 2000 if boundary == "unknown" else 1000
    found = nth(minimisation, 10000 if boundary == "unknown" and order == 2 else iterations)
    tolerance = 1e-4 if boundary in ("unknown", "circular") else 5e-3  # where convergence is slow
    torch.testing.assert_close(c.crop(found), c.crop(solution.view(1, 1, *c.shape)), atol=tolerance, rtol=0)


def test_tikhonov_takes_any_filters():
    edge = np.array([[0.0, 1.0, -1.0]])
    by_order = restore.tikhonov(observation(), PSF, order=1, weight=0.01)
    by_filters = restore.tikhonov(observation(), PSF, operators=[edge, edge.T], weight=0.01)
    assert agreement(by_order, by_filters) > 120
    volume = np.stack([observation()] * 4)
    with pytest.raises(ValueError, match="operators: expected finite filters with 2 axes, given"):
        restore.tikhonov(observation(), PSF, operators=[volume])
    with pytest.raises(ValueError, match="order: unknown 3, allowed are 0, 1, 2"):
        restore.tikhonov(observation(), PSF, order=3)


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("boundary", ["unknown", "circular", "reflect"])
def test_total_variation_reaches_its_minimum(isotropic, boundary):
    """No other image is cheaper: not the result of many more iterations, nor any near it."""
    c = domain(boundary, mask=True, shape=(1, 1, 10, 12))
    weight = 0.05

    def cost(latent):
        slopes = Gradient().analyse(latent)
        contours = slopes.square().sum(0).sqrt() if isotropic else slopes.abs().sum(0)
        fit = (c.mask * (c.blur(latent) * (c.mask > 0) - c.observed).square()).sum() / 2
        return float(fit + weight * contours[c.seen].sum())

    problem = Problem(c.image, c, Statistics.of(c.image, 0.1), 1, torch.ones(1, 1, 1, 1))
    minimisation = total_variation.iterates(problem, weight=weight, isotropic=isotropic)
    earlier = c.project(nth(minimisation, 200))
    best = c.project(nth(minimisation, 1300))
    assert float(minimisation.objective(best)) == pytest.approx(cost(best))
    assert cost(best) <= cost(earlier) + 1e-7
    for seed in range(50):
        direction = c.project(random(1, 1, *c.shape, seed=seed))
        if seed % 2:  # raise or lower a half plane: the direction in which contours are paid
            direction = c.project((direction.cumsum(-1) > 0).double())
        for step in (1e-2, 1e-4, -1e-2):
            assert cost(best + step * direction) > cost(best) - 1e-6


def test_hyper_laplacian_with_exponent_one_and_first_order_is_total_variation():
    ours = restore.hyper_laplacian(observation(), PSF, alpha=1, second_order=0, weight=0.002, num_iter=300)
    theirs = restore.total_variation(observation(), PSF, weight=0.002, num_iter=300)
    assert agreement(ours, theirs) > 70
    with pytest.raises(ValueError, match=r"alpha: expected an exponent in \(0, 1\], given 1.5"):
        restore.hyper_laplacian(observation(), PSF, alpha=1.5)


def test_spectra_are_found():
    """A power law in white noise, blurred: slope and noise come out as they went in."""
    n = 192
    law = Gradient().power((n, n), random(1)).add(1e-3)
    for slope, noise in ((1.0, 0.02), (1.5, 0.1)):
        spectrum = torch.fft.rfft2(random(1, 1, n, n)) * law ** (-slope / 2)
        image = convolve(torch.fft.irfft2(spectrum, s=(n, n)), PSF, boundary="circular")
        image = image + noise * random(1, 1, n, n, seed=1)
        found = fit_spectra(image, PSF, torch.tensor(0.05))
        assert abs(float(found.slope) - slope) < 0.06
        assert abs(float(found.log_noise) - 2 * math.log(noise)) < 0.15
        assert abs(float(found.log_gain)) < 0.2


def test_light_round_trip():
    values = torch.linspace(-0.5, 1.5, 401, dtype=torch.float64)
    torch.testing.assert_close(to_srgb(to_linear(values)), values)
    torch.testing.assert_close(to_linear(torch.tensor([0.0, 0.5, 1.0])), torch.tensor([0.0, 0.21404114, 1.0]))
    light = torch.zeros(3, requires_grad=True)
    to_srgb(light).sum().backward()
    assert bool(light.grad.isfinite().all())


# A hand that shook: in 15 x 15 pixels, six along and two across.
SHAKE = {(6, 4): 9, (6, 5): 4, (6, 6): 4, (6, 7): 3, (7, 4): 2, (7, 7): 1, (7, 8): 3, (8, 9): 3, (8, 10): 11}


@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("wiener", 30.8),
        ("richardson_lucy", 31.0),
        ("total_variation", 32.5),
        ("hyper_laplacian", 33.2),
        ("unsupervised_wiener", 30.8),
        ("tikhonov", 30.8),
        pytest.param("plug_and_play", 33.5, marks=pytest.mark.slow),
    ],
)
def test_quality_on_a_photograph(name, floor):
    """512 x 512, 1 % noise, unknown boundary, no parameter told."""
    from skimage import data

    psf = torch.zeros(15, 15)
    for place, amount in SHAKE.items():
        psf[place] = amount / 40
    sharp = (data.camera() / 255).astype(np.float32)
    observed = degrade(sharp, psf, noise=0.01, seed=0)
    assert psnr(observed, sharp[7:-7, 7:-7]) < 24.5
    assert psnr(getattr(restore, name)(observed, psf), sharp[7:-7, 7:-7]) > floor
