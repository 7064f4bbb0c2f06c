"""Forward-mode derivatives of the operators, and their compositions with reverse mode."""

from __future__ import annotations

import pytest
import torch
from cases import Case
from torch.autograd import forward_ad, gradcheck
from torch.func import hessian, jacfwd, jacrev, jvp

from deconv import inverse_conv2d
from deconv.ops.weight_gradient import causal_weight_gradient

CASE = Case(2, 3, 4, 5, (2, 3), corner="tr")
SMALL = Case(1, 2, 3, 3, (2, 2), corner="br")


def solve(case):
    return lambda y, weight: inverse_conv2d(y, weight, **case.options)


@pytest.mark.parametrize("case", [CASE, SMALL], ids=str)
def test_batches_of_tangents(case):
    operands = case.image().requires_grad_(), case.weight().requires_grad_()
    kinds = {"check_forward_ad": True, "check_backward_ad": False, "check_batched_forward_grad": True}
    assert gradcheck(solve(case), operands, **kinds)


def test_tangents_of_the_weight_gradient():
    """It is bilinear in its images."""
    x, v, dx, dv = (CASE.image(seed=seed) for seed in (1, 2, 3, 4))

    def gradient(x, v):
        return causal_weight_gradient(x, v, CASE.kernel, **CASE.options)

    value, tangent = jvp(gradient, (x, v), (dx, dv))
    torch.testing.assert_close(value, gradient(x, v))
    torch.testing.assert_close(tangent, gradient(dx, v) + gradient(x, dv))
    torch.testing.assert_close(jvp(lambda v: gradient(x, v), (v,), (dv,))[1], gradient(x, dv))


def test_jacobians_and_hessians_by_either_mode():
    y, weight = SMALL.image(), SMALL.weight()

    def energy(weight):
        return (solve(SMALL)(y, weight) ** 3).sum()

    for forward, reverse in zip(*(mode(solve(SMALL), (0, 1))(y, weight) for mode in (jacfwd, jacrev)), strict=True):
        torch.testing.assert_close(forward, reverse)
    expected = jacrev(jacrev(energy))(weight)
    torch.testing.assert_close(hessian(energy)(weight), expected)
    torch.testing.assert_close(jacrev(jacfwd(energy))(weight), expected)


def test_what_torch_would_get_wrong_is_refused():
    """Forward mode twice, and through an operator that it does not see into."""
    y, weight = SMALL.image(), SMALL.weight()
    with pytest.raises(NotImplementedError, match="forward mode over forward mode"):
        jacfwd(jacfwd(lambda weight: solve(SMALL)(y, weight).sum()))(weight)
    bare = torch.ops.deconv.inverse_conv2d
    rest = SMALL.corner, SMALL.support, SMALL.groups, "", True
    assert torch.equal(bare(y, weight, *rest), solve(SMALL)(y, weight))
    with pytest.raises(NotImplementedError, match="bare operator"):
        jvp(lambda y: bare(y, weight, *rest), (y,), (y,))
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="bare operator"):
        bare(y, forward_ad.make_dual(weight, weight), *rest)


def test_compiled_forward_mode_is_right_or_refused():
    y, weight = SMALL.image(), SMALL.weight()

    def tangent(y, weight):
        return jvp(lambda y: solve(SMALL)(y.sin(), weight), (y,), (y,))[1]

    with pytest.raises(Exception, match="forward mode through a compiled graph"):
        torch.compile(tangent, fullgraph=True, backend="aot_eager")(y, weight)
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(tangent, backend="aot_eager")(y, weight), tangent(y, weight))
