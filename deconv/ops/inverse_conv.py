"""The exact inverse of a causal convolution, and its gradients by a second solve.

With ``y = A x``, ``g = dL/dx`` and ``v = A^-T g``:  ``dL/dy = v``  and  ``dL/dW[q] = -sum over p of v[p] x[p - q]^T``,
where `x` is the *output* of the solve: the weight gradient of a plain convolution. ``A^T`` is causal from the opposite
corner with the channel axes of the kernel swapped, so the backward pass is the forward pass once more. It is written
with differentiable operations, hence all higher derivatives are there too. Forward mode is a solve as well,
``dx = A^-1 (dy - dA x)``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deconv import solvers
from deconv.foreign_arrays import Array, on_tensors
from deconv.solvers.geometry import Corner, Support, opposite, transpose_weight

from .causal_conv import causal_conv2d, mask_to_support
from .checks import check_operands, common_dtype
from .finite import check_solution
from .tracking import is_dispatched, is_tracked, refuse_nested_forward_mode, refuse_tangents, with_signature
from .weight_gradient import causal_weight_gradient

__all__ = ["inverse_conv2d"]


_SCHEMA = "(Tensor y, Tensor weight, str corner, str support, int groups, str solver, bool check_finite) -> Tensor"
torch.library.define("deconv::inverse_conv2d", _SCHEMA, tags=(torch.Tag.pt2_compliant_tag,))


def _solve(y, weight, corner, support, groups, solver, check_finite):
    x = solvers.solve(y, weight, corner=corner, support=support, groups=groups, name=solver or None)
    if check_finite:
        check_solution(x, y, weight, support, groups)
    return x


torch.library.impl("deconv::inverse_conv2d", "CompositeExplicitAutograd", _solve)


@torch.library.register_fake("deconv::inverse_conv2d")
def _(y, weight, corner, support, groups, solver, check_finite):
    return torch.empty_like(y, memory_format=torch.contiguous_format)


_op = torch.ops.deconv.inverse_conv2d.default


class _InverseConv2d(torch.autograd.Function):
    """Reverse mode, vmap and their compositions."""

    @staticmethod
    @with_signature
    def forward(y, weight, corner, support, groups, solver, check_finite):
        return _below(y, weight, corner, support, groups, solver, check_finite)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, weight, ctx.corner, ctx.support, ctx.groups, ctx.solver, ctx.check_finite = inputs
        ctx.save_for_backward(output, weight)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        transposed, corner = transpose_weight(weight, ctx.groups), opposite(ctx.corner)
        v = _call(gradient, transposed, corner, ctx.support, ctx.groups, ctx.solver, ctx.check_finite)
        dweight = None
        if ctx.needs_input_grad[1]:
            size, options = weight.shape[-2:], {"support": ctx.support, "groups": ctx.groups}
            dweight = -causal_weight_gradient(x, v, size, corner=ctx.corner, **options)
        return v, dweight, None, None, None, None, None

    @staticmethod
    def vmap(info, in_dims, y, weight, corner, support, groups, solver, check_finite):
        y_dim, weight_dim, *_ = in_dims
        size = info.batch_size
        if weight_dim is None:  # one kernel for all: the mapped axis joins the batch
            y = y.movedim(y_dim, 0)
            x = _call(y.flatten(0, 1), weight, corner, support, groups, solver, check_finite)
            return x.unflatten(0, y.shape[:2]), 0
        # A kernel each: the mapped axis becomes channel groups.
        weight = weight.movedim(weight_dim, 0)
        y = y.unsqueeze(1).expand(-1, size, -1, -1, -1) if y_dim is None else y.movedim(y_dim, 1)
        x = _call(y.flatten(1, 2), weight.flatten(0, 1), corner, support, size * groups, solver, check_finite)
        return x.unflatten(1, y.shape[1:3]), 1


class _ForwardMode(_InverseConv2d):
    """With forward mode too: a class of its own, as `torch.compile` traces no Function that has a `jvp`."""

    @staticmethod
    def setup_context(ctx, inputs, output):
        _InverseConv2d.setup_context(ctx, inputs, output)
        ctx.save_for_forward(output, inputs[1])

    @staticmethod
    def jvp(ctx, dy, dweight, *_):
        refuse_nested_forward_mode()
        x, weight = ctx.saved_tensors
        if dweight is not None:
            moved = causal_conv2d(x, dweight, corner=ctx.corner, support=ctx.support, groups=ctx.groups)
            dy = -moved if dy is None else dy - moved
        return _call(dy, weight, ctx.corner, ctx.support, ctx.groups, ctx.solver, ctx.check_finite)


def _call(y: Tensor, weight: Tensor, *options: Any) -> Tensor:
    """The operator, by the wrapper where somebody watches: its bookkeeping costs as much as a small solve."""
    if is_tracked(y, weight):
        differentiable = _InverseConv2d if torch.compiler.is_compiling() else _ForwardMode
        return differentiable.apply(y, weight, *options)
    with torch._C._AutoDispatchBelowAutograd():
        return _below(y, weight, *options)


def _below(y: Tensor, weight: Tensor, *options: Any) -> Tensor:
    """The operator below autograd."""
    return _op(y, weight, *options) if is_dispatched(y, weight) else _solve(y, weight, *options)


@torch.library.impl("deconv::inverse_conv2d", "Autograd")
def _differentiable(y, weight, *options):
    """What a graph runs that holds the operator without its wrapper, as exported and compiled ones do."""
    refuse_tangents(y, weight)
    if torch.is_grad_enabled() and (y.requires_grad or weight.requires_grad):
        return _InverseConv2d.apply(y, weight, *options)
    with torch._C._AutoDispatchBelowAutograd():
        return _op(y, weight, *options)


def inverse_conv2d(
    y: Array,
    weight: Array | Tensor,
    *,
    corner: Corner = "tl",
    support: Support = "quarter",
    groups: int = 1,
    solver: str | None = None,
    check_finite: bool = True,
) -> Array:
    r"""Exact inverse of `causal_conv2d`: the `x` with ``causal_conv2d(x, weight, ...) == y``.

    .. math:: x[p] = T^{-1} \Big( y[p] - \sum_{q \ne \text{anchor}} W[q] \, x[p - q] \Big)

    where `T` is the channel matrix of the anchor tap, any invertible one. The system is block triangular in raster
    order, so the solution is exact; pixels that do not depend on each other are solved in parallel.

    Gradients: ``dL/dy = A^-T dL/dx`` is a second solve, ``dL/dweight`` the weight gradient of a convolution; both
    differentiable again. Forward-mode derivatives are a solve too, ``dx = A^-1 (dy - dA x)``. Works under
    `torch.compile(fullgraph=True)`, `torch.func.grad`, `jvp` and `vmap`; forward mode over forward mode, or inside one
    compiled graph, raises.

    Parameters
    ----------
    y : Tensor
        Image `(B, C, H, W)`, any floating-point dtype and strides. Half precision is solved in float32 and cast back.
        NumPy and CuPy arrays are taken too, and give one.
    weight : Tensor
        Kernel `(C, C / groups, kh, kw)`; see `causal_conv2d` for its layout.
    corner : {"tl", "tr", "bl", "br"}
        Where the past lies, as for `causal_conv2d`.
    support : {"quarter", "half"}
        What the past is, as for `causal_conv2d`.
    groups : int
        Channel groups, as in `conv2d`.
    solver : str, optional
        Name of a solver (``deconv info`` lists them); by default the fastest that can serve.
    check_finite : bool
        Raise rather than return infinities or NaN. On a GPU, which nobody waits for, it is a later call that raises, or
        `deconv.ops.raise_if_not_finite`; while a CUDA graph is captured, nothing is checked. Switching it off saves one
        pass over the result.

    Returns
    -------
    Tensor
        `x`, contiguous, the shape and dtype of `y`.

    Raises
    ------
    ValueError
        A singular anchor matrix, shapes that do not fit, an unknown corner, support or solver, operands on two devices.
    TypeError
        Dtypes that are not floating point, or float64 with another.
    NotImplementedError
        Forward mode where torch would get it wrong.
    FloatingPointError
        The solution is not finite. An inverse can grow exponentially with the image's size; `inverse_gain_bound` tells
        when it cannot.

    References
    ----------
    Nagar and Varma, "Parallel Backpropagation for Inverse of a Convolution with Application to Normalizing Flows",
    AISTATS 2025, section 3.

    Examples
    --------
    >>> import torch
    >>> weight = torch.tensor([[[[0.0, 0.25], [0.5, 1.0]]]])
    >>> inverse_conv2d(torch.ones(1, 1, 2, 2), weight)
    tensor([[[[1.0000, 0.5000],
              [0.7500, 0.5000]]]])
    """
    options = {"corner": corner, "support": support, "groups": groups}
    return on_tensors(_inverse_conv2d, "y", y, weight, **options, solver=solver, check_finite=check_finite)


def _inverse_conv2d(
    y: Tensor,
    weight: Tensor,
    *,
    corner: Corner,
    support: Support,
    groups: int,
    solver: str | None,
    check_finite: bool,
) -> Tensor:
    check_operands("y", y, weight, corner, support, groups)
    dtype = common_dtype("y", y, weight)
    kernel = mask_to_support(weight.to(dtype), support)
    return _call(y.to(dtype), kernel, corner, support, groups, solver or "", check_finite).to(y.dtype)
