"""The blur that a photograph has of its own, as `fit_causal` models it."""

import math

import pytest
import torch

from deconv.blind.intrinsic_blur import _WAVES, IntrinsicBlur
from deconv.ops import causal_conv2d


def intrinsic(symmetric: torch.Tensor | float = 0.0, odd: torch.Tensor | float = 0.0) -> IntrinsicBlur:
    blur = IntrinsicBlur()
    blur.coefficients.data += symmetric
    blur.asymmetry.data += odd
    return blur


def random(scale: float, *shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.rand(shape or len(_WAVES), generator=generator, dtype=torch.float64)


def test_the_determinant_is_the_mean_of_the_logarithm():
    blur = intrinsic(random(0.05), random(0.05, seed=1))
    impulse = torch.zeros(1, 1, 97, 97, dtype=torch.float64)
    impulse[..., 48, 48] = 1
    with torch.no_grad():
        gain = torch.fft.fft2(blur(impulse)).abs()
        expected = float(blur.log_abs_det)
    assert float(gain.log().mean()) == pytest.approx(expected, rel=1e-6)
    assert expected > 0.3
    assert float(gain[..., 0, 0]) == pytest.approx(1)  # flat areas keep their grey


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("step", [(0, 1), (1, 0), (1, 1)])
def test_a_causal_filter_has_as_much_asymmetry_as_intrinsic(step, turned):
    r"""log(a + (1 - a) z) is that of a, and of z the powers \sum_n -(-r)^n / n, where r = (1 - a) / a."""
    anchor = 0.93
    kernel = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    kernel[..., 1, 1], kernel[0, 0, 1 - step[0], 1 - step[1]] = anchor, 1 - anchor
    ratio = (1 - anchor) / anchor
    coefficients = torch.zeros(len(_WAVES), dtype=torch.float64)
    for n in range(1, 5):
        wave = (n * step[0], n * step[1])
        if wave in _WAVES:
            coefficients[_WAVES.index(wave)] = -((-ratio) ** n) / n
    sharp = random(1.0, 1, 1, 60, 50)
    blurred = causal_conv2d(sharp, kernel)
    if turned:
        sharp, blurred = sharp.flip(2, 3), blurred.flip(2, 3)
    with torch.no_grad():
        found = intrinsic(coefficients, -coefficients if turned else coefficients)(blurred)
    inner = (..., slice(20, -20), slice(20, -20))
    assert float((blurred - sharp)[inner].abs().max()) > 0.02
    assert float((found - sharp)[inner].abs().max()) < (1e-3 if step == (1, 1) else 2e-5)


def test_the_density_of_intrinsic_blurs_is_a_normal_one():
    spread = torch.tensor([0.18 * math.hypot(*m) ** (-4 / 3 if 0 in m else -2) for m in _WAVES], dtype=torch.float64)
    mean = torch.zeros(len(_WAVES), dtype=torch.float64)
    for wave, value in {(0, 1): 0.37, (1, 0): 0.37, (0, 2): -0.04, (2, 0): -0.04, (0, 3): 0.05, (3, 0): 0.05}.items():
        mean[_WAVES.index(wave)] = value
    symmetric, odd = torch.distributions.Normal(mean, spread), torch.distributions.Normal(0, spread / 2)

    def expected(c: torch.Tensor, d: torch.Tensor) -> float:
        return float((symmetric.log_prob(c) + odd.log_prob(d)).sum())

    def found(c: torch.Tensor, d: torch.Tensor) -> float:
        return float(intrinsic(c, d).log_prob().detach())

    first, second = (random(0.3), random(0.1, seed=1)), (random(0.2, seed=2), random(0.2, seed=3))
    assert found(*first) - found(*second) == pytest.approx(expected(*first) - expected(*second), rel=1e-6)
    assert found(mean, torch.zeros_like(mean)) == 0  # the likeliest


def test_gradients_reach_both_parts():
    blur = intrinsic(random(0.05), random(0.05, seed=1))
    blur.asymmetry.requires_grad_()
    sharp = random(1.0, 1, 1, 24, 21)

    def sharpened(c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(blur, {"coefficients": c, "asymmetry": d}, (sharp,))

    torch.autograd.gradcheck(sharpened, (blur.coefficients, blur.asymmetry))
