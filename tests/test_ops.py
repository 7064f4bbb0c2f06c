"""The differentiable operations: values, every gradient, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, LARGE_CASES, Case
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

import deconv
from deconv import causal_conv2d, causal_log_abs_det, inverse_conv2d, inverse_gain_bound
from deconv.ops import finite
from deconv.ops.weight_gradient import causal_weight_gradient

CASE = Case(2, 3, 4, 5, (2, 3), corner="tr")
HALF = Case(2, 1, 4, 5, (2, 3), corner="bl", support="half")


def problem(case=CASE, dtype=torch.float64):
    return case.image(dtype), case.weight(dtype)


def jacobian(function, x):
    return torch.autograd.functional.jacobian(function, x).reshape(x.numel(), x.numel())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_causal_conv_is_its_definition(case):
    """Against sums written out pixel by pixel in the frame of the corner."""
    x, weight = case.image(), case.weight()
    dims = [d for d, c in ((-2, case.corner[0] == "b"), (-1, case.corner[1] == "r")) if c]
    seen, (kh, kw) = torch.flip(x, dims), case.kernel
    inner = case.channels // case.groups
    column = kw - 1 if case.support == "quarter" else kw // 2
    expected = torch.zeros_like(x)
    for i in range(case.height):
        for j in range(case.width):
            for a in range(kh):
                for b in range(kw):
                    up, left = kh - 1 - a, column - b
                    past = up > 0 or left >= 0
                    if past and i - up >= 0 and 0 <= j - left < case.width:
                        pixel = seen[:, :, i - up, j - left].reshape(-1, case.groups, inner)
                        taps = weight[:, :, a, b].reshape(case.groups, inner, inner)
                        expected[:, :, i, j] += torch.einsum("goi,bgi->bgo", taps, pixel).flatten(1)
    torch.testing.assert_close(causal_conv2d(x, weight, **case.options), torch.flip(expected, dims))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients(case):
    y, weight = case.image().requires_grad_(), case.weight().requires_grad_()
    assert gradcheck(lambda y, w: inverse_conv2d(y, w, **case.options), (y, weight), check_forward_ad=True)
    assert gradcheck(lambda x, w: causal_conv2d(x, w, **case.options), (y, weight))


@pytest.mark.parametrize("case", CASES + LARGE_CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weight_gradient_is_that_of_the_convolution(case, dtype):
    x, v, weight = case.image(dtype, 2), case.image(dtype, 3), case.weight(dtype).requires_grad_()
    (expected,) = torch.autograd.grad(causal_conv2d(x, weight, **case.options), weight, v)
    ours = causal_weight_gradient(x, v, case.kernel, **case.options)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    assert (ours - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_second_derivatives(case):
    y, weight = case.image().requires_grad_(), case.weight().requires_grad_()
    # The fast mode checks the same derivatives along random directions, not entry by entry.
    fast = y.numel() + weight.numel() > 60
    function = lambda y, w: inverse_conv2d(y, w, **case.options)  # noqa: E731
    assert gradgradcheck(function, (y, weight), fast_mode=fast, check_fwd_over_rev=True)


@pytest.mark.parametrize("case", LARGE_CASES, ids=str)
def test_float32_gradients_agree_with_the_convolution(case):
    """``x = A^-1 y``: the gradients are those that autograd finds for ``A``, by the implicit function theorem."""
    x, weight = case.image(), case.weight()
    g = case.image(seed=5)
    y = causal_conv2d(x, weight, **case.options)
    y32, w32 = (t.float().requires_grad_() for t in (y, weight))
    dy, dw = torch.autograd.grad(inverse_conv2d(y32, w32, **case.options), (y32, w32), g.float())
    x, w64 = x.requires_grad_(), weight.requires_grad_()
    back, minus_dw = torch.autograd.grad(causal_conv2d(x, w64, **case.options), (x, w64), dy.double())
    assert (back - g).abs().max() < 2e-5 * g.abs().max()  # A^T dy = g
    assert (dw + minus_dw).abs().max() < 2e-5 * minus_dw.abs().max()


@pytest.mark.parametrize("case", [c for c in CASES if c.height * c.width * c.channels <= 64], ids=str)
def test_log_determinant_is_that_of_the_full_jacobian(case):
    x, weight = case.image()[:1], case.weight()
    full = jacobian(lambda x: causal_conv2d(x, weight, **case.options), x)
    expected = torch.linalg.slogdet(full).logabsdet
    args = weight, case.height, case.width
    ours = causal_log_abs_det(*args, support=case.support, groups=case.groups)
    torch.testing.assert_close(ours, expected)
    inverse = jacobian(lambda y: inverse_conv2d(y, weight, **case.options), x)
    torch.testing.assert_close(-ours, torch.linalg.slogdet(inverse).logabsdet)
    if case.anchor != "full":
        assert ours == 0


@pytest.mark.parametrize("case", [c for c in CASES if c.height * c.width * c.channels <= 64], ids=str)
def test_gain_bound_holds(case):
    weight = case.weight()
    gain = jacobian(lambda y: inverse_conv2d(y, weight, **case.options), case.image()[:1]).abs().sum(1).max()
    bound = inverse_gain_bound(weight, support=case.support, groups=case.groups)
    assert gain <= bound * (1 + 1e-12) < torch.inf


def test_gain_bound_is_sharp_and_infinite_where_there_is_none():
    # Taps of one sign: the gain tends to the bound 1 / (1 - 0.9) as the image grows.
    weight = torch.tensor([[[[-0.9, 1.0]]]], dtype=torch.float64)
    assert inverse_gain_bound(weight).item() == pytest.approx(10)
    assert inverse_conv2d(torch.ones(1, 1, 1, 200, dtype=torch.float64), weight).max() > 9.99
    assert inverse_gain_bound(torch.tensor([[[[-1.0, 1.0]]]])) == torch.inf
    weight = torch.tensor([[[[-0.4, 0.3, 1.0]]]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(inverse_gain_bound, weight)


def test_slopes_of_the_gain_bound_at_its_kinks():
    weight = torch.zeros(2, 2, 3, 3, dtype=torch.float64)
    weight[:, :, -1, -1] = torch.tensor([[2.0, 1.0], [0.0, 4.0]])
    weight.requires_grad_()
    bound = inverse_gain_bound(weight)  # of the anchor alone: | [1/2, -1/8], [0, 1/4] |
    assert bound == 0.625
    (gradient,) = torch.autograd.grad(bound, weight)
    assert not gradient.reshape(2, 2, 9)[..., :-1].any()
    torch.testing.assert_close(gradient[:, :, -1, -1], torch.tensor([[-0.3125, 0.125], [0.078125, -0.03125]]).double())
    (gradient,) = torch.autograd.grad(inverse_gain_bound(weight + 1), weight)  # infinite
    assert not gradient.any()


@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 2), st.integers(1, 20), st.integers(1, 40),
    st.integers(1, 4), st.integers(0, 2), st.sampled_from(["tl", "tr", "bl", "br"]), st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_round_trip_on_any_shape(batch, inner, groups, height, width, kh, r, corner, half):
    kernel = (kh, 2 * r + 1) if half else (kh, r + 1)
    support = "half" if half else "quarter"
    case = Case(batch, inner * groups, height, width, kernel, corner=corner, support=support, groups=groups)
    x, weight = problem(case)
    back = inverse_conv2d(causal_conv2d(x, weight, **case.options), weight, **case.options)
    assert (back - x).abs().max() <= 1e-12 * x.abs().max()


def test_accuracy_at_a_gain_of_a_hundred():
    for kernel in ((3, 3), (1, 8), (5, 2)):
        case = Case(2, 3, 48, 48, kernel)
        # The taps of one sign sum to 0.99 of the anchor: the bound is 100, and a constant image attains it.
        weight = -torch.rand(3, 3, *kernel, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        weight[:, :, -1, -1] = 0
        weight *= 0.99 / weight.abs().sum((1, 2, 3), keepdim=True)
        weight[:, :, -1, -1] = torch.eye(3)
        assert inverse_gain_bound(weight).item() == pytest.approx(100)
        y = torch.rand(case.image().shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        exact = deconv.solvers.solve(y.float().double(), weight.float().double(), **case.options, name="reference")
        single = inverse_conv2d(y.float(), weight.float())
        assert (single - exact).abs().max() < 1e-5 * exact.abs().max()


@pytest.mark.parametrize("case", [CASE, HALF], ids=str)
def test_arrays_give_arrays(case):
    x, weight = problem(case)
    y = causal_conv2d(x.numpy(), weight.numpy(), **case.options)
    assert isinstance(y, np.ndarray)
    np.testing.assert_array_equal(y, causal_conv2d(x, weight, **case.options))
    again = inverse_conv2d(y, weight, **case.options)  # the kernel may be a tensor
    assert isinstance(again, np.ndarray)
    np.testing.assert_allclose(again, x, atol=1e-12)
    with pytest.raises(TypeError, match="y: must be a floating-point tensor"):
        inverse_conv2d(y.astype(int), weight, **case.options)


@pytest.mark.parametrize("operation", [causal_conv2d, inverse_conv2d])
@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (2, 2, 0, 4), (2, 2, 3, 0), (0, 2, 0, 0)])
def test_no_pixels_have_gradients_of_zero(operation, shape):
    image = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    weight = Case(1, 2, 1, 1, (3, 2)).weight().requires_grad_()
    result = operation(image, weight)
    assert result.shape == shape
    first = torch.autograd.grad(result.sum(), (image, weight), create_graph=True)
    assert [g.shape for g in first] == [shape, weight.shape]
    assert not first[1].any()
    torch.autograd.grad(sum(g.sum() for g in first), (image, weight), allow_unused=True)


def test_half_plane_ignores_the_taps_that_do_not_exist():
    y, weight = problem(HALF)
    filled = weight.clone()
    filled[:, :, -1, 2:] = 7.0
    filled.requires_grad_()
    for operation in (inverse_conv2d, causal_conv2d):
        result = operation(y, filled, **HALF.options)
        assert torch.equal(result, operation(y, weight, **HALF.options))
        (gradient,) = torch.autograd.grad(result.sum(), filled)
        assert (gradient[:, :, -1, 2:] == 0).all()


GOOD = (torch.ones(1, 2, 4, 4), torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"corner": "top"}, ValueError, "corner: unknown 'top', allowed are tl, tr, bl, br"),
        ({"support": "full"}, ValueError, "support: unknown 'full', allowed are quarter, half"),
        ({"groups": 0}, ValueError, "groups: must be a positive integer, given 0"),
        ({"groups": 2}, ValueError, r"weight: a causal operator maps C channels to C.*C / 2.*given \(2, 2, 3, 3\)"),
        ({"y": torch.ones(4, 4)}, ValueError, r"y: must have shape \(B, 2, H, W\).*given \(4, 4\)"),
        ({"y": torch.ones(1, 3, 4, 4)}, ValueError, r"y: must have shape \(B, 2, H, W\)"),
        ({"y": torch.ones(1, 2, 4, 4, dtype=torch.int64)}, TypeError, "y: must be a floating-point tensor.*int64"),
        ({"y": [[1.0]]}, TypeError, "y: must be a floating-point tensor, given list"),
        ({"y": GOOD[0].double()}, TypeError, "weight: is torch.float32, but y is torch.float64"),
        ({"weight": GOOD[1][0]}, ValueError, r"weight: must have shape \(C, C / groups, kh, kw\), given \(2, 3, 3\)"),
        ({"weight": GOOD[1].int()}, TypeError, "weight: must be a floating-point tensor"),
        ({"weight": GOOD[1][..., :2], "support": "half"}, ValueError, r"odd width 2 r \+ 1, given 2"),
        ({"weight": GOOD[1].to("meta")}, ValueError, "weight: is on meta, but y is on cpu"),
        ({"solver": "magic"}, ValueError, "solver: unknown 'magic'"),
        ({"weight": torch.zeros(2, 2, 3, 3)}, ValueError, "anchor matrix is singular"),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value)[:40],
)
def test_bad_arguments(change, error, message):
    arguments = {"y": GOOD[0], "weight": GOOD[1]} | change
    with pytest.raises(error, match=message):
        inverse_conv2d(**arguments)


def test_overflow_is_an_error_that_names_the_gain():
    weight = torch.tensor([[[[-3.0, 1.0]]]])
    y = torch.ones(1, 1, 2, 200)
    with pytest.raises(FloatingPointError, match=r"not finite in torch.float32.*gain bound inf"):
        inverse_conv2d(y, weight)
    assert not torch.isfinite(inverse_conv2d(y, weight, check_finite=False)).all()
    y[..., 3] = torch.nan
    with pytest.raises(FloatingPointError, match="y is not finite"):
        inverse_conv2d(y, weight)
    # A sum that overflows where no pixel does is no reason to refuse.
    big = torch.full((1, 1, 2, 4), 3e38)
    assert torch.equal(inverse_conv2d(big, torch.ones(1, 1, 1, 1)), big)


def test_solutions_that_nobody_waits_for(monkeypatch):
    """As on a GPU: each call raises for those before it that are there by then, and one function waits for all."""
    ready = []

    def peak_of(x):
        place = len(ready)
        ready.append(False)
        return lambda wait: float(x.abs().max()) if wait or ready[place] else None

    monkeypatch.setattr(finite, "_peak_of", peak_of)
    weight, y = torch.tensor([[[[-3.0, 1.0]]]]), torch.ones(1, 1, 2, 200)
    x = inverse_conv2d(y, weight, check_finite=False)
    options = weight, "quarter", 1
    finite._watch(y, *options)
    finite._watch(x, *options)
    finite.raise_if_not_finite(wait=False)  # neither is there
    ready[0] = True
    finite.raise_if_not_finite(wait=False)  # the first one is, and it is finite
    assert len(finite._pending) == 1
    ready[1] = True
    with pytest.raises(FloatingPointError, match="gain bound inf"):
        finite.raise_if_not_finite(wait=False)
    finite._watch(x, torch.zeros_like(weight), "quarter", 1)
    with pytest.raises(ValueError, match="anchor matrix is singular"):
        deconv.ops.raise_if_not_finite()
    deconv.ops.raise_if_not_finite()
    for _ in range(finite._MOST_PENDING + 10):
        finite._watch(y, *options)
        finite.raise_if_not_finite(wait=False)
    assert len(finite._pending) <= finite._MOST_PENDING
    deconv.ops.raise_if_not_finite()
    assert not finite._pending
