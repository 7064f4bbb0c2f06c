"""The differentiable operations in torch: precision, autocast, compiled graphs, tracers, function transforms."""

from __future__ import annotations

import pytest
import torch
from cases import Case
from torch.utils._python_dispatch import TorchDispatchMode

from deconv import causal_conv2d, inverse_conv2d

CASE = Case(2, 3, 4, 5, (2, 3), corner="tr")
HALF = Case(2, 1, 4, 5, (2, 3), corner="bl", support="half")


def problem(case=CASE, dtype=torch.float64):
    return case.image(dtype), case.weight(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_solved_in_single(dtype):
    y, weight = problem(CASE, dtype)
    result = inverse_conv2d(y, weight, corner="tr")
    assert result.dtype == dtype
    expected = inverse_conv2d(y.float(), weight.float(), corner="tr")
    assert torch.equal(result, expected.to(dtype))
    assert inverse_conv2d(y, weight.float(), corner="tr").dtype == dtype  # a float32 layer in half-precision code


@pytest.mark.parametrize("operation", [causal_conv2d, inverse_conv2d])
def test_autocast_lowers_neither_values_nor_derivatives(operation):
    y, weight = problem(CASE, torch.float32)
    y, weight = y.requires_grad_(), weight.requires_grad_()

    def derivatives():
        x = operation(y, weight, corner="tr")
        first = torch.autograd.grad(x.square().sum(), (y, weight), create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), (y, weight))
        moved = torch.func.jvp(lambda w: operation(y, w, corner="tr"), (weight,), (weight,))
        return *(value.detach() for value in (x, *first)), *second, *moved

    expected = derivatives()
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(a, b) for a, b in zip(derivatives(), expected, strict=True))


@pytest.mark.parametrize("operation", [causal_conv2d, inverse_conv2d])
@pytest.mark.parametrize(("of_image", "of_kernel"), [("float16", "float32"), ("float32", "bfloat16")])
def test_two_dtypes_are_computed_in_single(operation, of_image, of_kernel):
    image, kernel = CASE.image(getattr(torch, of_image)), CASE.weight(getattr(torch, of_kernel))
    expected = operation(image.float(), kernel.float(), corner="tr")
    assert torch.equal(operation(image, kernel, corner="tr"), expected.to(image.dtype))


@pytest.mark.parametrize("operation", [causal_conv2d, inverse_conv2d])
@pytest.mark.parametrize("grad", [True, False])
def test_shapes_without_values(operation, grad):
    """On the meta device."""
    image, kernel = (tensor.to("meta").requires_grad_(grad) for tensor in problem())
    result = operation(image, kernel, **CASE.options)
    assert (result.device.type, result.shape, result.dtype) == ("meta", image.shape, image.dtype)
    if grad:
        shapes = [gradient.shape for gradient in torch.autograd.grad(result.sum(), (image, kernel))]
        assert shapes == [image.shape, kernel.shape]


@pytest.mark.parametrize("case", [CASE, HALF], ids=str)
def test_opcheck(case):
    y, weight = problem(case)
    torch.library.opcheck(
        torch.ops.deconv.causal_weight_gradient.default,
        (y, case.image(seed=4), *case.kernel, case.corner, case.support, case.groups),
    )
    torch.library.opcheck(
        torch.ops.deconv.inverse_conv2d.default, (y, weight, case.corner, case.support, case.groups, "", True)
    )


@pytest.mark.parametrize("case", [CASE, HALF, Case(2, 4, 3, 4, (2, 2), groups=2)], ids=str)
def test_compile_in_one_graph(case):
    y, weight = problem(case)
    y, weight = y.requires_grad_(), weight.requires_grad_()

    def loss(y, weight):
        return (inverse_conv2d(y.sin(), weight, **case.options) ** 3).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected = torch.autograd.grad(loss(y, weight), (y, weight))
    for ours, theirs in zip(torch.autograd.grad(compiled(y, weight), (y, weight)), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_who_watches_operators_sees_them():
    """Modes and profilers, for which nothing may go past the dispatcher; without one, plain functions are called."""
    y, weight = (tensor.requires_grad_() for tensor in problem())
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function.name())
            return function(*args, **(kwargs or {}))

    def both_ways():
        return torch.autograd.grad(inverse_conv2d(y, weight, **CASE.options).sum(), (y, weight))

    with Watch():
        both_ways()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        both_ways()
    for name, times in {"deconv::inverse_conv2d": 2, "deconv::causal_weight_gradient": 1}.items():
        assert seen.count(name) == times
        assert sum(event.count for event in profile.key_averages() if event.key == name) == times
    operands = y.detach(), weight.detach()
    traced = torch.jit.trace(lambda y, weight: inverse_conv2d(y, weight, **CASE.options), operands, check_trace=False)
    assert "deconv::inverse_conv2d" in str(traced.graph)


def test_the_operator_in_a_graph_without_its_wrapper():
    """As an exported program calls it: the same values, and the same gradients."""
    y, weight = (tensor.requires_grad_() for tensor in problem())
    raw = torch.ops.deconv.inverse_conv2d(y, weight, CASE.corner, CASE.support, CASE.groups, "", True)
    expected = inverse_conv2d(y, weight, **CASE.options)
    assert torch.equal(raw, expected)
    ours, theirs = (torch.autograd.grad(x.square().sum(), (y, weight)) for x in (raw, expected))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("case", [CASE, HALF, Case(2, 4, 3, 4, (2, 2), groups=2)], ids=str)
@pytest.mark.parametrize("in_dims", [(0, None), (None, 0), (0, 0), (1, 2)])
def test_vmap_and_function_transforms(case, in_dims):
    y, weight = problem(case)
    ys = torch.stack([y, 2 * y + 1, -y], in_dims[0]) if in_dims[0] is not None else y
    scales = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    weights = torch.stack([weight * s for s in scales], in_dims[1]) if in_dims[1] is not None else weight

    def loss(y, weight):
        return inverse_conv2d(y, weight, **case.options).square().sum()

    def unstack(stack, dim):
        return [stack] * 3 if dim is None else stack.unbind(dim)

    pairs = list(zip(unstack(ys, in_dims[0]), unstack(weights, in_dims[1]), strict=True))
    mapped = torch.func.vmap(lambda y, w: inverse_conv2d(y, w, **case.options), in_dims)(ys, weights)
    expected = torch.stack([inverse_conv2d(y, w, **case.options) for y, w in pairs])
    torch.testing.assert_close(mapped, expected)

    gradients = torch.func.grad(loss, argnums=(0, 1))
    mapped = torch.func.vmap(gradients, in_dims)(ys, weights)
    for k in range(2):
        torch.testing.assert_close(mapped[k], torch.stack([gradients(*pair)[k] for pair in pairs]))


def test_only_the_gradients_asked_for():
    y, weight = problem()
    for inputs in ((y.clone().requires_grad_(), weight), (y, weight.clone().requires_grad_())):
        leaf = next(t for t in inputs if t.requires_grad)
        inverse_conv2d(*inputs, corner="tr").sum().backward()
        assert leaf.grad is not None
