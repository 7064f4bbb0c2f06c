"""Psfs from pairs, from likelihood, and from place to place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.data
import torch

from deconv.blind import estimate_field, fit, fit_causal, kernel_similarity, sparse_gradients
from deconv.blind.causal import _likeliest_scale
from deconv.blind.paired import descend, equation_error
from deconv.blind.support import simplex
from deconv.imaging import degrade
from deconv.imaging.psf import camera_shake, gaussian
from deconv.ops import causal_conv2d
from deconv.prior import load_prior


def photograph(name: str = "camera") -> torch.Tensor:
    pixels = torch.from_numpy(getattr(skimage.data, name)()).double() / 255
    return (pixels if pixels.ndim == 2 else pixels.mean(2)).float()


def relative(psf: torch.Tensor, truth: torch.Tensor) -> float:
    return float((psf - truth).norm() / truth.norm())


def pair(psf: torch.Tensor, noise: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    scene = photograph()[100:230, 150:290]
    top, left = ((n - 1) // 2 for n in psf.shape)
    blurred = degrade(scene, psf, noise=noise, seed=0)
    return blurred, scene[top : top + blurred.shape[0], left : left + blurred.shape[1]]


def test_the_equation_error_of_an_exact_pair_is_the_psf():
    psf = camera_shake(9, seed=2)
    blurred, sharp = (each.double()[None, None] for each in pair(psf))
    assert relative(equation_error(blurred, sharp, (9, 9)), psf.double()) < 0.01


def test_the_psf_of_a_noisy_pair():
    psf = camera_shake(13, seed=1)
    blurred, sharp = pair(psf, noise=0.005)
    found = fit(blurred, sharp, 13)
    assert relative(found, psf) < 0.1
    assert float(found.min()) >= 0
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)


def test_the_gradient_runs_through_the_recursive_filter():
    """From a psf that is wrong, the descent comes nearer to the true one."""
    psf = gaussian(1.2, 9)
    blurred, sharp = (each[None, None] for each in pair(psf, noise=0.002))
    start = gaussian(1.8, 9)
    found = descend(blurred, sharp, start, noise_to_signal=1e-3, num_iter=15)
    assert relative(found, psf) < 0.7 * relative(start, psf)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)


def test_the_nearest_psf():
    weights = torch.tensor([[0.8, 0.6], [-0.5, 0.1]])
    assert torch.allclose(simplex(weights), torch.tensor([[0.6, 0.4], [0.0, 0.0]]))
    psf = camera_shake(7, seed=0)
    assert torch.allclose(simplex(psf), psf, atol=1e-6)


CAUSAL = torch.tensor([[0.0, 0.08, 0.02], [0.05, 0.03, 0.1], [0.02, 0.1, 0.6]])


OTHER = torch.tensor([[0.02, 0.03, 0.0], [0.06, 0.08, 0.04], [0.0, 0.12, 0.65]])


def causally_blurred(name: str, kernel: torch.Tensor = CAUSAL) -> torch.Tensor:
    scene = photograph(name)
    top, left = (max(n - 320, 0) // 2 for n in scene.shape)
    return causal_conv2d(scene[top : top + 320, left : left + 320][None, None], kernel[None, None])


@pytest.fixture(scope="module")
def causal():
    return CAUSAL, causally_blurred("rocket")


@pytest.mark.parametrize(
    ("name", "kernel", "error"),
    [("rocket", CAUSAL, 0.03), ("camera", CAUSAL, 0.02), ("coffee", CAUSAL, 0.03), ("chelsea", OTHER, 0.05)],
)
def test_a_causal_blur_is_what_makes_the_image_likeliest(name, kernel, error):
    assert relative(fit_causal(causally_blurred(name, kernel), 3), kernel) < error


def test_a_sharp_picture_in_whole_grey_values_gives_the_very_kernel():
    """More than half of its differences vanish at the right kernel, and at no other."""
    assert relative(fit_causal(causally_blurred("moon"), 3), CAUSAL) < 0.002


def test_a_picture_cut_out_of_a_blurred_one():
    """Taken for dark outside, the scene that goes on above and on the left spoils the fit."""
    inside = causally_blurred("camera")[..., 20:, 20:]
    found = relative(fit_causal(inside, 3, boundary="unknown"), CAUSAL)
    assert found < 0.1
    assert found < relative(fit_causal(inside, 3), CAUSAL) / 2


def test_softness_of_the_scene_is_not_taken_for_blur():
    blurred = causally_blurred("camera")
    assert relative(fit_causal(blurred, 3, softness=False), CAUSAL) > 0.1


def test_without_the_determinant_no_blur_wins(causal):
    truth, blurred = causal
    found = fit_causal(blurred, 3, determinant=False)
    assert float(found[-1, -1]) > 0.95
    assert relative(found, truth) > 0.3


def test_a_density_of_photographs_finds_the_blur_by_likelihood():
    scene = photograph("camera")[160:288, 160:288][None, None]
    blurred = causal_conv2d(scene, CAUSAL[None, None])
    prior = load_prior("gmm")
    found = fit_causal(blurred, 3, lambda x: prior.log_prob(x, stride=4))
    assert relative(found, CAUSAL) < 0.1


def test_the_prior_may_be_anything(causal):
    _, blurred = causal
    seen = []

    def log_prior(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.shape)
        return sparse_gradients(x).expand(len(x))

    kernel = fit_causal(blurred, (2, 3), log_prior, num_iter=3)
    assert kernel.shape == (2, 3)
    assert set(seen) == {blurred.shape}


def test_a_callback_sees_every_step_and_ends_the_fit(causal):
    truth, blurred = causal
    errors = []

    def stop(step: int, kernel: torch.Tensor) -> bool:
        assert step == len(errors)
        errors.append(relative(kernel, truth))
        return step == 5

    assert relative(fit_causal(blurred, 3, callback=stop), truth) == pytest.approx(errors[-1])
    assert len(errors) == 6
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_asymmetric_in_a_photograph_hardly_counts_as_blur(turned):
    """Under a prior of which it is not known how soft photographs are, it does: their softness is symmetric then."""
    scene = photograph("astronaut")[96:416, 96:416]
    blurred = causal_conv2d((scene.flip(0, 1) if turned else scene)[None, None], CAUSAL[None, None])
    known = relative(fit_causal(blurred, 3), CAUSAL)
    unknown = relative(fit_causal(blurred, 3, lambda x: sparse_gradients(x)), CAUSAL)
    assert known < 0.03
    assert known < 0.6 * unknown


def test_the_scale_of_the_prior_is_the_likeliest():
    torch.manual_seed(0)
    values = torch.distributions.Cauchy(0, 0.3).sample((20000,)).double()
    scale = _likeliest_scale(values.square()).requires_grad_()
    surprise = (values.square() / scale).log1p() + scale.log() / 2
    (slope,) = torch.autograd.grad(surprise.mean(), scale)
    assert abs(float(slope * scale.detach())) < 1e-8
    found = float(scale.detach())
    assert float(_likeliest_scale(4 * values.square())) == pytest.approx(4 * found, rel=1e-6)
    assert found == pytest.approx(0.09, rel=0.15)
    assert torch.isfinite(sparse_gradients(torch.zeros(1, 1, 9, 9)))


def test_the_unit_does_not_change_the_order_of_likelihoods():
    sharp = photograph()[None, None, 100:300, 100:300]
    soft = (sharp + sharp.roll(1, 3)) / 2
    difference = sparse_gradients(sharp) - sparse_gradients(soft)
    assert float(sparse_gradients(5 * sharp) - sparse_gradients(5 * soft)) == pytest.approx(float(difference), rel=1e-3)
    assert float(difference) < 0


def test_tiles_have_psfs_of_their_own():
    scene = photograph()[60:300, 20:500].numpy()
    left, right = camera_shake(9, seed=1), camera_shake(9, seed=3)
    halves = degrade(scene, left, noise=0.003, seed=0), degrade(scene, right, noise=0.003, seed=0)
    mixed = np.where(np.arange(halves[0].shape[1]) < halves[0].shape[1] // 2, *halves)
    psfs = estimate_field(mixed, (1, 2), 11, starts=1)
    assert psfs.shape == (1, 2, 11, 11)
    assert torch.allclose(psfs.sum((2, 3)), torch.ones(1, 2), atol=1e-5)
    assert kernel_similarity(psfs[0, 0], left) > kernel_similarity(psfs[0, 0], right)
    assert kernel_similarity(psfs[0, 1], right) > kernel_similarity(psfs[0, 1], left)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda y: fit(y, y[1:], 5), "sharp"),
        (lambda y: fit(y, y, 5, num_iter=-1), "num_iter"),
        (lambda y: fit(y, y, 5, noise_to_signal=0), "noise_to_signal"),
        (lambda y: fit(y, y, 99), "kernel_size"),
        (lambda y: fit_causal(y, 1), "kernel_size"),
        (lambda y: fit_causal(y, 99), "kernel_size"),
        (lambda y: fit_causal(y, 3, num_iter=0), "num_iter"),
        (lambda y: fit_causal(y, 3, boundary="mirror"), "boundary"),
        (lambda y: fit_causal(y[:30], 3, boundary="unknown"), "image"),
        (lambda y: fit_causal(y, 3, lambda x: x.sum() * math.nan), "log_prior"),
        (lambda y: estimate_field(y, (0, 2)), "grid"),
        (lambda y: estimate_field(y, (2, 2), 41), "kernel_size"),
    ],
)
def test_what_will_not_do_is_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call(np.random.default_rng(0).random((64, 64)))
