"""The contract of flow layers and models, over the table in `flow_cases.py`, in float64."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from flow_cases import CASES, MODELS, layers_of_the_table, models_of_the_table

from deconv.flows import DataDependent

LAYERS = [*CASES, *layers_of_the_table()]
ALL = [*LAYERS, *MODELS, *models_of_the_table()]
every_case = pytest.mark.parametrize("case", ALL, ids=str)


@every_case
def test_round_trip_both_ways(case):
    layer, x, context = case.layer(), case.images(), case.context()
    with torch.no_grad():
        z, ladj = layer(x, context)
        assert z.dtype == x.dtype
        assert ladj.dtype == x.dtype
        assert ladj.shape == (2,)
        if not case.exact_inverse:
            return
        back, back_ladj = layer.inverse(z, context)
        torch.testing.assert_close(back, x, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(ladj, -back_ladj, atol=1e-9, rtol=1e-9)


@every_case
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_log_determinant(case, direction):
    """Against the determinant of the whole Jacobian."""
    if direction == "inverse" and not case.differentiable_inverse:
        pytest.skip("the inverse is not differentiable")
    layer, x, context = case.layer(), case.images(), case.context()
    if direction == "inverse":
        x = layer(x, context)[0].detach()
    function = getattr(layer, direction)
    with torch.no_grad():
        _, ladj = function(x, context)
    for k in range(2):
        label = None if context is None else context[k : k + 1]
        jacobian = torch.func.jacrev(lambda x, label=label: function(x, label)[0].flatten())(x[k : k + 1])
        jacobian = jacobian.detach().reshape(x[0].numel(), x[0].numel())
        torch.testing.assert_close(ladj[k], torch.linalg.slogdet(jacobian).logabsdet)


@every_case
def test_gradients(case):
    """Of z and ladj with respect to the image and every parameter, in both directions, by finite differences."""
    layer, x, context = case.layer(), case.images(), case.context()
    z = layer(x, context)[0].detach()
    names = [name for name, _ in layer.named_parameters()]
    parameters = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]

    def forward(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, context))

    assert torch.autograd.gradcheck(forward, (x.requires_grad_(), *parameters), fast_mode=True)
    if case.differentiable_inverse:
        inverse = torch.func.functional_call  # through the layer's own inverse
        wrapped = _InverseAsForward(layer)

        def backward(z, *values):
            named = {f"layer.{name}": value for name, value in zip(names, values, strict=True)}
            return inverse(wrapped, named, (z, context))

        assert torch.autograd.gradcheck(backward, (z.requires_grad_(), *parameters), fast_mode=True)


class _InverseAsForward(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, z, context):
        return self.layer.inverse(z, context)


@every_case
def test_state_and_calls(case):
    layer, x, context = case.layer(), case.images(), case.context()
    before = copy.deepcopy(layer.state_dict())
    with torch.no_grad():
        z, ladj = layer(x, context)
        again, ladj_again = layer(x, context)
        assert torch.equal(z, again)
        assert torch.equal(ladj, ladj_again)
        assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())

        fresh = case.layer(seed=5)
        fresh(x, context)  # caches weights made from other parameters
        fresh.load_state_dict(layer.state_dict())
        assert torch.equal(fresh(x, context)[0], z)
        if case.exact_inverse:
            torch.testing.assert_close(fresh.inverse(z, context)[0], x, atol=1e-9, rtol=1e-9)
        for twin in (copy.deepcopy(layer), *([] if "<lambda>" in repr(layer) else [pickle.loads(pickle.dumps(layer))])):
            assert torch.equal(twin(x, context)[0], z)


@every_case
def test_training_mode_agrees_and_changes_nothing(case):
    layer, x, context = case.layer(), case.images(), case.context()
    with torch.no_grad():
        z, ladj = layer(x, context)
        before = copy.deepcopy(layer.state_dict())
        trained_z, trained_ladj = layer.train()(x, context)
    torch.testing.assert_close(trained_z, z)
    if case.exact_inverse:  # a self-normalizing layer estimates in training
        torch.testing.assert_close(trained_ladj, ladj)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


@every_case
def test_a_changed_parameter_is_noticed(case):
    """What evaluation caches is made anew, however the parameter was changed."""
    layer, x, context = case.layer(), case.images(), case.context()
    parameters = list(layer.parameters())
    if not parameters:
        pytest.skip("nothing to change")
    with torch.no_grad():
        layer(x, context)
        for parameter in parameters:
            parameter.mul_(1.1)
        expected = copy.deepcopy(layer).train()(x, context)[0]
        torch.testing.assert_close(layer(x, context)[0], expected)
        if case.exact_inverse:
            torch.testing.assert_close(layer.inverse(expected, context)[0], x, atol=1e-8, rtol=1e-8)
            for parameter in parameters:
                parameter.data = parameter.data * 0.9
            torch.testing.assert_close(layer.inverse(layer(x, context)[0], context)[0], x, atol=1e-8, rtol=1e-8)


@every_case
def test_images_of_a_batch_are_independent(case):
    """Neither z nor ladj depends on the rest of the batch, nor on its size."""
    layer, x, context = case.layer(), case.images(5), case.context(5)
    with torch.no_grad():
        z, ladj = layer(x, context)
        for k in range(5):
            alone, alone_ladj = layer(x[k : k + 1], None if context is None else context[k : k + 1])
            torch.testing.assert_close(alone, z[k : k + 1])
            torch.testing.assert_close(alone_ladj, ladj[k : k + 1])


@every_case
@torch.no_grad()
def test_no_images_at_all(case):
    """Nothing comes out, and nothing starts from them."""
    layer, labels = case.layer(), None if case.labels is None else case.context()[:0]
    z, ladj = layer(case.images()[:0], labels)
    assert (z.shape, ladj.shape) == ((0, *layer(case.images(), case.context())[0].shape[1:]), (0,))
    x, ladj = layer.inverse(z, labels)
    assert (x.shape, ladj.shape) == ((0, *case.shape), (0,))
    for module in layer.modules():
        if isinstance(module, DataDependent):
            module.forget()
    before = copy.deepcopy(layer.state_dict())
    layer.train()(case.images()[:0], labels)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


@every_case
def test_single_precision(case):
    layer, x, context = case.layer(dtype=torch.float32), case.images().float(), case.context()
    with torch.no_grad():
        z, ladj = layer(x, context)
        assert z.dtype == ladj.dtype == torch.float32
        exact_z, exact_ladj = case.layer()(x.double(), context)
        torch.testing.assert_close(z.double(), exact_z, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(ladj.double(), exact_ladj, atol=1e-3, rtol=1e-4)
        if case.exact_inverse:
            torch.testing.assert_close(layer.inverse(z, context)[0], x, atol=1e-4, rtol=1e-4)


@every_case
def test_autocast_keeps_inverses(case):
    """Under autocast only the networks inside couplings lose precision, in both directions alike."""
    layer, x, context = case.layer(dtype=torch.float32), case.images().float(), case.context()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        z, ladj = layer(x, context)
        assert z.dtype == ladj.dtype == torch.float32
        if case.exact_inverse:
            torch.testing.assert_close(layer.inverse(z, context)[0], x, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("case", [case for case in LAYERS if case.any_size], ids=str)
def test_other_sizes(case):
    layer, x, context = case.layer(), case.images(size=(6, 8)), case.context()
    with torch.no_grad():
        z, ladj = layer(x, context)
        assert torch.isfinite(ladj).all()
        if case.exact_inverse:
            torch.testing.assert_close(layer.inverse(z, context)[0], x, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("case", [case for case in ALL if case.refused], ids=str)
def test_refuses_other_shapes(case):
    with torch.no_grad(), pytest.raises((ValueError, RuntimeError), match=r"[xyz]: |channel|size|given"):
        case.layer()(torch.rand(2, *case.refused, dtype=torch.float64), case.context())
