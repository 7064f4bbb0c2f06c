"""`InverseConv2d`: a layer of the flow contract, over a table of its options."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from deconv import inverse_gain_bound
from deconv.nn import InverseConv2d

OPTIONS = [
    {"channels": 1, "kernel_size": 3},
    {"channels": 3, "kernel_size": (2, 3), "corner": "br"},
    {"channels": 3, "kernel_size": 2, "anchor": "plu", "corner": "tr"},
    {"channels": 3, "kernel_size": 2, "anchor": "plu", "init": "rotation"},
    {"channels": 4, "kernel_size": 2, "groups": 2, "anchor": "plu", "max_gain": 4.0},
    {"channels": 3, "kernel_size": 3, "support": "half", "corner": "bl", "max_gain": 3.0},
    {"channels": 2, "kernel_size": 3, "support": "half", "anchor": "plu"},
    {"channels": 3, "kernel_size": 1, "anchor": "plu"},
    {"channels": 2, "kernel_size": 2, "max_gain": 1.0},
]


def make(options, disturb: float = 0.2):
    layer = InverseConv2d(**options, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # away from the start, where much is nearly zero
        for parameter in layer.parameters():
            parameter += disturb * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return layer


def image(options, height=4, width=3):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, options["channels"], height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_round_trip_both_ways(options):
    layer, x = make(options), image(options)
    z, ladj = layer(x)
    back, back_ladj = layer.inverse(z)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(ladj, -back_ladj)
    torch.testing.assert_close(layer(layer.inverse(x)[0])[0], x)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_log_determinant(options, direction):
    layer, x = make(options), image(options)
    function = getattr(layer, direction)
    _, ladj = function(x)
    assert ladj.shape == (2,)
    assert ladj.dtype == x.dtype
    for k in range(2):
        full = torch.autograd.functional.jacobian(lambda x: function(x)[0], x[k : k + 1])
        full = full.reshape(x[0].numel(), x[0].numel())
        torch.testing.assert_close(ladj[k], torch.linalg.slogdet(full).logabsdet)
    if layer.anchor == "unit":
        assert (ladj == 0).all()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients(options):
    layer, x = make(options), image(options).requires_grad_()
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def call(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), x)

    assert torch.autograd.gradcheck(call, (x, *parameters), fast_mode=True)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_state_and_calls(options):
    layer, x = make(options), image(options)
    before = copy.deepcopy(layer.state_dict())
    z, ladj = layer(x)
    again, ladj_again = layer(x)
    assert torch.equal(z, again)
    assert torch.equal(ladj, ladj_again)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert torch.equal(layer.eval()(x)[0], z)

    fresh = InverseConv2d(**options, dtype=torch.float64)
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh(x)[0], z)
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x)[0], z)
    assert torch.equal(copy.deepcopy(layer)(x)[0], z)
    other_size = image(options, 7, 5)
    torch.testing.assert_close(layer.inverse(layer(other_size)[0])[0], other_size)


@pytest.mark.parametrize("options", [o for o in OPTIONS if "max_gain" in o], ids=str)
@pytest.mark.parametrize("disturb", [0.1, 1.0, 10.0])
def test_gain_is_bounded_whatever_the_parameters(options, disturb):
    layer = make(options, disturb)
    with torch.no_grad():
        if layer.anchor == "plu":
            layer.log_scale.clamp_(-3, 3)  # beyond, rounding alone undoes an inverse
        bound = inverse_gain_bound(layer.weight, support=layer.support, groups=layer.groups)
    assert bound <= options["max_gain"] * (1 + 1e-9)


def test_training_cannot_blow_up():
    """Gradient descent on a loss that rewards amplification ends at the bound, not in NaN."""
    generator = torch.Generator().manual_seed(0)
    layer = InverseConv2d(3, 3, max_gain=5.0, generator=generator)
    x = torch.randn(2, 3, 32, 32, generator=generator)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    for _ in range(50):
        optimizer.zero_grad()
        z, _ = layer(x)
        (-z.square().mean()).backward()
        optimizer.step()
    assert inverse_gain_bound(layer.weight) <= 5.0 * (1 + 1e-6)
    assert torch.isfinite(layer(x)[0]).all()


def test_masked_taps_get_no_gradient():
    options = {"channels": 2, "kernel_size": 3, "support": "half"}
    layer = make(options)
    layer(image(options))[0].square().sum().backward()
    assert (layer.taps.grad[:, :, -1, 1:] == 0).all()
    assert (layer.taps.grad[:, :, :-1] != 0).any()


def test_starts_near_the_identity_and_contains_the_one_by_one_convolution():
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    z, _ = InverseConv2d(3, 3, generator=torch.Generator().manual_seed(0))(x)
    assert (z - x).abs().max() < 0.5
    mixing = InverseConv2d(3, 1, anchor="plu", init="rotation", generator=torch.Generator().manual_seed(0))
    matrix = mixing.weight[:, :, 0, 0]
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3), atol=2e-2, rtol=0)
    torch.testing.assert_close(mixing.inverse(x)[0], torch.einsum("oi,bihw->bohw", matrix, x))


def test_double_backward():
    options = OPTIONS[1]
    layer, x = make(options), image(options).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x)[0].pow(3).sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert layer.taps.grad.abs().sum() > 0


@pytest.mark.parametrize(("of_layer", "of_image"), [("float32", "float64"), ("float64", "float32")])
def test_the_kernel_has_the_dtype_of_the_image_in_both_directions(of_layer, of_image):
    layer, x = make(OPTIONS[0]).to(getattr(torch, of_layer)), image(OPTIONS[0]).to(getattr(torch, of_image))
    z, ladj = layer(x)
    back, more = layer.inverse(z)
    assert {t.dtype for t in (z, ladj, back, more)} == {x.dtype}
    torch.testing.assert_close(back, x)


def test_arrays_are_refused_by_name():
    with pytest.raises(TypeError, match="x: expected a tensor, given ndarray"):
        InverseConv2d(2, 3)(np.zeros((1, 2, 4, 4), np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corner": "up"}, "corner: unknown 'up'"),
        ({"anchor": "lu"}, "anchor: unknown 'lu', allowed are unit, plu"),
        ({"init": "rotation"}, "init: unknown 'rotation', allowed are identity"),
        ({"groups": 2}, "groups: must divide channels"),
        ({"kernel_size": (3, 2), "support": "half"}, "odd width for a half plane"),
        ({"kernel_size": 0}, "kernel_size: expected a whole number from 1 on"),
        ({"max_gain": 0.5}, "max_gain: must be at least 1, given 0.5"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        InverseConv2d(**({"channels": 3, "kernel_size": 3} | change))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_an_exported_layer_has_the_same_values_and_gradients(mode):
    layer = InverseConv2d(3, 3, generator=torch.Generator().manual_seed(0)).eval()
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    program = torch.export.export(layer, (x,)).module()
    with mode():
        torch.testing.assert_close(program(x)[0], layer(x)[0])
    given, taken = x.clone().requires_grad_(), x.clone().requires_grad_()
    program(given)[0].square().sum().backward()
    layer(taken)[0].square().sum().backward()
    torch.testing.assert_close(given.grad, taken.grad)
    (weights,) = (p for name, p in program.named_parameters() if name.endswith("taps"))
    torch.testing.assert_close(weights.grad, layer.taps.grad)
