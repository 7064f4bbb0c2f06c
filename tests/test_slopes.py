"""The slopes of flows and layers at the bounds of what they clamp, which differ between releases of torch."""

from __future__ import annotations

import pytest
import torch

from deconv import flows
from deconv.flows.dequantisation import join
from deconv.nn import InverseConv2d
from deconv.nn.clamp import clamp_closed


def slope(function, at):
    x = torch.tensor(at, dtype=torch.float64).requires_grad_()
    function(x).sum().backward()
    return x.grad


def test_clamping():
    x = [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert slope(lambda x: clamp_closed(x, -1, 1), x).tolist() == [0, 1, 1, 1, 0]
    assert slope(lambda x: clamp_closed(x, low=-1), x).tolist() == [0, 1, 1, 1, 1]
    assert clamp_closed(torch.tensor([-2.0, 0.5, 2.0]), -1, 1).tolist() == [-1, 0.5, 1]
    assert clamp_closed(torch.tensor(float("nan")), 0, 1).isnan()
    with torch.no_grad():
        assert clamp_closed(torch.tensor([-2.0, 0.5, 2.0]), -1, 1).tolist() == [-1, 0.5, 1]


def test_black_and_white_pixels_have_the_slopes_of_their_neighbours():
    layer = flows.Gaussianise(2).double().eval()
    ends = slope(lambda x: layer(x.reshape(1, 1, 1, -1))[0], [0.0, 1.0])
    near = slope(lambda x: layer(x.reshape(1, 1, 1, -1))[0], [1e-9, 1 - 1e-9])
    torch.testing.assert_close(ends, near, rtol=0.05, atol=0)


@pytest.mark.parametrize("inverse", [False, True])
def test_splines_leave_with_slope_one(inverse):
    raw = [torch.linspace(-1, 1, size, dtype=torch.float64).expand(2, -1) for size in (6, 6, 5)]
    slopes = slope(lambda x: flows.rational_quadratic_spline(x, *raw, bound=2.0, inverse=inverse)[0], [-2.0, 2.0])
    torch.testing.assert_close(slopes, torch.ones(2, dtype=torch.float64))


def test_a_gain_at_its_bound_is_kept_there():
    """T = s with max_gain = 1: at s = 1 the bound is active, and a smaller s changes nothing any more."""
    layer = InverseConv2d(1, 1, anchor="plu", max_gain=1.0, dtype=torch.float64)
    _, ladj = layer(torch.ones(1, 1, 1, 1, dtype=torch.float64))
    ladj.sum().backward()
    assert layer.log_scale.item() == 0
    assert layer.log_scale.grad.item() == 0


def test_noise_that_is_rounded_up_is_a_constant():
    noise = torch.tensor([0.5, 1 - 2**-24]).requires_grad_()
    join(torch.tensor([200, 200], dtype=torch.uint8), noise, 256).sum().backward()
    assert noise.grad.tolist() == [1 / 256, 0]


def test_interpolating_between_equal_images_has_a_gradient():
    model = flows.build_flow("glow", (1, 4, 4), levels=1, steps=1, width=4, seed=0).eval()
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model.interpolate(x, x, 3).sum().backward()
    assert torch.isfinite(x.grad).all()
