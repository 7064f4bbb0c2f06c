"""Psfs from pairs, and from place to place."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch

from deconv.blind import NoBlurFound, estimate_field, fit, kernel_similarity
from deconv.blind.descent import descend, output_error
from deconv.blind.paired import equation_error
from deconv.blind.support import simplex
from deconv.imaging import degrade
from deconv.imaging.psf import camera_shake, gaussian


def photograph() -> torch.Tensor:
    return (torch.from_numpy(skimage.data.camera()).double() / 255).float()


def relative(psf: torch.Tensor, truth: torch.Tensor) -> float:
    return float((psf - truth).norm() / truth.norm())


def pair(psf: torch.Tensor, noise: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    sharp = photograph()[100:230, 150:290]
    top, left = ((n - 1) // 2 for n in psf.shape)
    blurred = degrade(sharp, psf, noise=noise, seed=0)
    return blurred, sharp[top : top + blurred.shape[0], left : left + blurred.shape[1]]


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
    found = descend(output_error(blurred, sharp, (9, 9), noise_to_signal=1e-3), start, num_iter=15)
    assert relative(found, psf) < 0.7 * relative(start, psf)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)


def test_the_nearest_psf():
    weights = torch.tensor([[0.8, 0.6], [-0.5, 0.1]])
    assert torch.allclose(simplex(weights), torch.tensor([[0.6, 0.4], [0.0, 0.0]]))
    psf = camera_shake(7, seed=0)
    assert torch.allclose(simplex(psf), psf, atol=1e-6)


def test_tiles_have_psfs_of_their_own():
    sharp = photograph()[60:300, 20:500].numpy()
    left, right = camera_shake(9, seed=1), camera_shake(9, seed=3)
    halves = degrade(sharp, left, noise=0.003, seed=0), degrade(sharp, right, noise=0.003, seed=0)
    mixed = np.where(np.arange(halves[0].shape[1]) < halves[0].shape[1] // 2, *halves)
    psfs = estimate_field(mixed, (1, 2), 11, starts=1)
    assert psfs.shape == (1, 2, 11, 11)
    assert torch.allclose(psfs.sum((2, 3)), torch.ones(1, 2), atol=1e-5)
    assert kernel_similarity(psfs[0, 0], left) > kernel_similarity(psfs[0, 0], right)
    assert kernel_similarity(psfs[0, 1], right) > kernel_similarity(psfs[0, 1], left)


def test_tiles_without_a_blur_of_their_own_are_named():
    tiles = np.concatenate([photograph()[100:164, 100:164].numpy(), np.full((64, 128), 0.5, np.float32)], axis=1)
    with pytest.warns(NoBlurFound, match=r"tiles show no blur of their own.*\(0, 2\): the image is of one colour"):
        psfs, estimates = estimate_field(tiles, (1, 3), 9, starts=1, info=True)
    assert not estimates[0, 2].found
    assert torch.equal(psfs[0, 2], estimates[0, 2].psf)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda y: fit(y, y[1:], 5), "sharp"),
        (lambda y: fit(y, y, 5, num_iter=-1), "num_iter"),
        (lambda y: fit(y, y, 5, noise_to_signal=0), "noise_to_signal"),
        (lambda y: fit(y, y, 99), "kernel_size"),
        (lambda y: estimate_field(y, (0, 2)), "grid"),
        (lambda y: estimate_field(y, (2, 2), 41), "kernel_size"),
    ],
)
def test_what_will_not_do_is_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call(np.random.default_rng(0).random((64, 64)))
