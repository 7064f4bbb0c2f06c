"""Causal blurs by maximum likelihood, through the exact inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.data
import torch

from deconv.blind import causal_to_psf, fit_causal, sparse_gradients
from deconv.blind.causal import _likeliest_scale
from deconv.imaging import convolve
from deconv.ops import causal_conv2d
from deconv.prior import load_prior


def photograph(name: str = "camera") -> torch.Tensor:
    pixels = torch.from_numpy(getattr(skimage.data, name)()).double() / 255
    return (pixels if pixels.ndim == 2 else pixels.mean(2)).float()


def relative(psf: torch.Tensor, truth: torch.Tensor) -> float:
    return float((psf - truth).norm() / truth.norm())


CAUSAL = torch.tensor([[0.0, 0.08, 0.02], [0.05, 0.03, 0.1], [0.02, 0.1, 0.6]])


OTHER = torch.tensor([[0.02, 0.03, 0.0], [0.06, 0.08, 0.04], [0.0, 0.12, 0.65]])


def causally_blurred(name: str, kernel: torch.Tensor = CAUSAL, side: int = 256) -> torch.Tensor:
    sharp = photograph(name)
    top, left = (max(n - side, 0) // 2 for n in sharp.shape)
    return causal_conv2d(sharp[top : top + side, left : left + side][None, None], kernel[None, None])


@pytest.fixture(scope="module")
def causal():
    return CAUSAL, causally_blurred("rocket")


@pytest.mark.parametrize(
    ("name", "kernel", "side", "error"),
    [("rocket", CAUSAL, 160, 0.03), ("camera", CAUSAL, 160, 0.03), ("chelsea", OTHER, 256, 0.05)],
)
def test_a_causal_blur_is_what_makes_the_image_likeliest(name, kernel, side, error):
    assert relative(fit_causal(causally_blurred(name, kernel, side), 3), kernel) < error


def test_a_sharp_picture_in_whole_grey_values_gives_the_very_kernel():
    """More than half of its differences vanish at the right kernel, and at no other."""
    assert relative(fit_causal(causally_blurred("moon", side=64), 3), CAUSAL) < 0.002


def test_a_picture_cut_out_of_a_blurred_one():
    """Taken for dark outside, what goes on above and on the left spoils the fit."""
    inside = causally_blurred("camera")[..., 20:, 20:]
    found = relative(fit_causal(inside, 3, boundary="unknown"), CAUSAL)
    assert found < 0.1
    assert found < relative(fit_causal(inside[..., :108, :108], 3), CAUSAL) / 2


def test_the_intrinsic_blur_is_not_taken_for_the_causal_one():
    blurred = causally_blurred("camera")
    assert relative(fit_causal(blurred, 3, intrinsic_blur=False), CAUSAL) > 0.1


def test_the_former_name_of_a_dark_outside_still_works_and_says_so():
    blurred = causally_blurred("camera")[..., :48, :48]
    now = fit_causal(blurred, 3, boundary="zero", intrinsic_blur=False, num_iter=1)
    with pytest.warns(DeprecationWarning, match='"zero"'):
        assert torch.equal(fit_causal(blurred, 3, boundary="dark", intrinsic_blur=False, num_iter=1), now)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (1, 3), (4, 1)])
def test_the_psf_of_a_causal_kernel_blurs_as_the_kernel_does(shape):
    generator = torch.Generator().manual_seed(0)
    kernel = torch.rand(shape, generator=generator, dtype=torch.float64)
    image = torch.rand(2, 1, 9, 11, generator=generator, dtype=torch.float64)
    psf = causal_to_psf(kernel)
    assert psf.shape == tuple(2 * n - 1 for n in shape)
    expected = causal_conv2d(image, kernel[None, None])
    torch.testing.assert_close(convolve(image, psf, boundary="zero"), expected)


def test_without_the_determinant_no_blur_wins(causal):
    truth, blurred = causal
    found = fit_causal(blurred, 3, determinant=False)
    assert float(found[-1, -1]) > 0.95
    assert relative(found, truth) > 0.3


def test_a_density_of_photographs_finds_the_blur_by_likelihood():
    sharp = photograph("camera")[176:256, 176:256][None, None]
    blurred = causal_conv2d(sharp, CAUSAL[None, None])
    prior = load_prior("gmm")
    found = fit_causal(blurred, 3, lambda x: prior.log_prob(x, stride=6))
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


def test_what_is_asymmetric_in_a_photograph_hardly_counts_as_blur():
    """Under a prior for which the distribution of intrinsic blurs is not known, it does: theirs is symmetric then."""
    sharp = photograph("astronaut")[96:296, 96:296]
    blurred = causal_conv2d(sharp.flip(0, 1)[None, None], CAUSAL[None, None])
    known = relative(fit_causal(blurred, 3), CAUSAL)
    unknown = relative(fit_causal(blurred, 3, lambda x: sparse_gradients(x)), CAUSAL)
    assert known < 0.03
    assert known < 0.6 * unknown


def test_the_scale_of_the_prior_is_the_likeliest():
    torch.manual_seed(0)
    values = torch.distributions.Cauchy(0, 0.3).sample((20000,)).double()
    scale = _likeliest_scale(values.square()).requires_grad_()
    negative_log = (values.square() / scale).log1p() + scale.log() / 2
    (derivative,) = torch.autograd.grad(negative_log.mean(), scale)
    assert abs(float(derivative * scale.detach())) < 1e-8
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


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda y: fit_causal(y, 1), "kernel_size"),
        (lambda y: fit_causal(y, 99), "kernel_size"),
        (lambda y: fit_causal(y, 3, num_iter=0), "num_iter"),
        (lambda y: fit_causal(y, 3, boundary="mirror"), "boundary"),
        (lambda y: fit_causal(y[:30], 3, boundary="unknown"), "image"),
        (lambda y: fit_causal(y, 3, lambda x: x.sum() * math.nan), "log_prior"),
    ],
)
def test_what_will_not_do_is_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call(np.random.default_rng(0).random((64, 64)))
