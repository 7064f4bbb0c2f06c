"""Flows in half precision, on the meta device, and given what they cannot take."""

from __future__ import annotations

import copy

import pytest
import torch
from test_flows import LAYERS
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

import deconv
from deconv import flows

half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


def small(name="inverse", **options):
    model = flows.build_flow(name, (1, 8, 8), **({"levels": 2, "steps": 1, "width": 8, "seed": 0} | options))
    classes = options.get("num_classes")
    context = None if classes is None else torch.arange(16) % classes
    model.initialise(torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)), context)
    return model.eval()


@half
@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_layers_in_half_precision(case, dtype):
    """As in float32 with the same parameters: only input, parameters and result are rounded."""
    layer = case.layer(dtype=dtype)
    x, context = case.images().to(dtype), case.context()
    with torch.no_grad():
        z, ladj = layer(x, context)
        expected, expected_ladj = copy.deepcopy(layer).float()(x.float(), context)
        assert (z.dtype, ladj.dtype) == (dtype, torch.float32)
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(z.float(), expected, atol=16 * eps, rtol=16 * eps)
        torch.testing.assert_close(ladj, expected_ladj, atol=0.1, rtol=0.02)
        back, back_ladj = layer.inverse(z, context)
        assert (back.dtype, back_ladj.dtype) == (dtype, torch.float32)


@half
@pytest.mark.parametrize("name", flows.FLOWS)
def test_models_in_half_precision(name, dtype):
    model = small(name, preprocessing="logit", dequantisation="variational").to(dtype)
    twin = copy.deepcopy(model).float()
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)).to(dtype)
    with torch.no_grad():
        log_prob = model.log_prob(x)
        assert log_prob.dtype == torch.float32
        torch.testing.assert_close(log_prob, twin.log_prob(x.float()), atol=0.5, rtol=5e-3)
        if flows.FLOWS[name].exact_inverse:
            error = (model.decode(model.encode(x)) - x).float().abs().max()
            assert error < 16 * torch.finfo(dtype).eps
        assert model.sample(2, generator=torch.Generator().manual_seed(0)).dtype == dtype
    images = (255 * x.float()).to(torch.uint8)
    model.train()
    bits = flows.bits_per_dim(model, images, generator=torch.Generator().manual_seed(0))
    assert bits.dtype == torch.float32
    bits.mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("options", [{"anchor": "plu", "max_gain": 5.0}, {"max_gain": 5.0}, {"anchor": "plu"}], ids=str)
def test_the_layer_under_autocast(options):
    layer = deconv.InverseConv2d(3, 3, generator=torch.Generator().manual_seed(0), **options)
    x, weight = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)), layer.weight
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        z, ladj = layer(x)
        assert z.dtype == ladj.dtype == torch.float32
        torch.testing.assert_close(layer.inverse(z)[0], x)
        assert torch.equal(layer.weight, weight)
        after_a_convolution = torch.nn.functional.conv2d(x, torch.eye(3)[:, :, None, None])
        assert after_a_convolution.dtype == torch.bfloat16
        assert layer(after_a_convolution)[1].dtype == torch.float32


class NoNumbers(TorchFunctionMode):
    """Refuses tensors made of Python numbers: each is a copy from the host, which a CUDA graph cannot hold."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (torch.tensor, torch.as_tensor) and not isinstance(args[0], torch.Tensor):
            raise AssertionError(f"{function.__name__}({args[0]!r})")
        return function(*args, **(kwargs or {}))


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for values, and operations on several devices."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "nonzero", "equal"), name
        devices = {item.device.type for item in tree_flatten((args, kwargs))[0] if isinstance(item, torch.Tensor)}
        assert len(devices) <= 1, (name, devices)
        return function(*args, **(kwargs or {}))


def on_meta(module):
    for layer in module.modules():
        if isinstance(layer, flows.DataDependent):
            layer._settled = True
    return module.to("meta")


@pytest.mark.parametrize("coupling", ["affine", "spline"])
@pytest.mark.parametrize("preprocessing", ["centre", "logit", "gaussianise"])
@pytest.mark.parametrize("name", flows.FLOWS)
def test_a_training_step_makes_the_host_neither_copy_nor_wait(name, preprocessing, coupling):
    if name != "inverse" and (preprocessing, coupling) != ("logit", "affine"):
        pytest.skip("the rest is the same for all")
    model = on_meta(small(name, preprocessing=preprocessing, coupling=coupling, dequantisation="variational"))
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8, device="meta")
    model.train()
    with NoNumbers(), NoWaiting():
        flows.bits_per_dim(model, images).mean().backward()
    assert any(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", [name for name in flows.FLOWS if flows.FLOWS[name].differentiable_inverse])
def test_evaluation_makes_the_host_neither_copy_nor_wait(name):
    model = on_meta(small(name))
    x = torch.zeros(4, 1, 8, 8, device="meta")
    with torch.no_grad(), NoNumbers(), NoWaiting():
        z, _ = model(x)
        model.base.log_prob(z)
        model.decode(z)


@pytest.mark.parametrize("preprocessing", ["centre", "logit", "gaussianise"])
@pytest.mark.parametrize("change", [lambda x: x + 0.3, lambda x: 255 * x, lambda x: x * float("nan")])
def test_images_of_another_range_have_no_density(preprocessing, change):
    model = small(preprocessing=preprocessing)
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.log_prob(x)
        model.log_prob(x.round())
        with pytest.raises(ValueError, match=r"x: must be images in \[0, 1\], given values"):
            model.log_prob(change(x))


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_labels_out_of_range(labels):
    model = small(num_classes=3)
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    message = rf"context: labels must lie in 0 ... 2, given {min(labels)} ... {max(labels)}"
    for call in (lambda c: model.log_prob(x, c), lambda c: model.sample(2, context=c)):
        with pytest.raises(ValueError, match=message):
            call(torch.tensor(labels))
