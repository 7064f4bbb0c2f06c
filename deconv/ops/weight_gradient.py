"""The gradient of a causal convolution with respect to its kernel, differentiable itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deconv import solvers
from deconv.solvers.geometry import Corner, Support, flip, opposite, padding, transpose_weight

from .causal_conv import causal_conv2d, mask_to_support
from .tracking import is_dispatched, is_tracked, refuse_nested_forward_mode, refuse_tangents, with_signature

__all__ = ["causal_weight_gradient"]

torch.library.define(
    "deconv::causal_weight_gradient",
    "(Tensor x, Tensor v, int kh, int kw, str corner, str support, int groups) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def _gradient(x, v, kh, kw, corner, support, groups):
    gradient = solvers.weight_gradient(x, v, (kh, kw), padding(kh, kw, support, corner), groups)
    return mask_to_support(flip(gradient, corner), support).contiguous()


torch.library.impl("deconv::causal_weight_gradient", "CompositeExplicitAutograd", _gradient)


@torch.library.register_fake("deconv::causal_weight_gradient")
def _(x, v, kh, kw, corner, support, groups):
    return x.new_empty(x.shape[1], x.shape[1] // groups, kh, kw)


_op = torch.ops.deconv.causal_weight_gradient.default


class _CausalWeightGradient(torch.autograd.Function):
    """Bilinear: ``<gradient(x, v), W> = <v, A_W x>``, so its own gradients are causal convolutions."""

    @staticmethod
    @with_signature
    def forward(x, v, kh, kw, corner, support, groups):
        return _below(x, v, kh, kw, corner, support, groups)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, v, *ctx.size, ctx.corner, ctx.support, ctx.groups = inputs
        ctx.save_for_backward(x, v)

    @staticmethod
    def backward(ctx, weight):
        x, v = ctx.saved_tensors
        options = {"support": ctx.support, "groups": ctx.groups}
        masked = mask_to_support(weight, ctx.support)
        dx = causal_conv2d(v, transpose_weight(masked, ctx.groups), corner=opposite(ctx.corner), **options)
        dv = causal_conv2d(x, masked, corner=ctx.corner, **options)
        return dx, dv, None, None, None, None, None

    @staticmethod
    def vmap(info, in_dims, x, v, kh, kw, corner, support, groups):
        def channels_of_all(image, dim):
            if dim is None:
                image, dim = image.unsqueeze(0).expand(info.batch_size, *image.shape), 0
            return image.movedim(dim, 1).flatten(1, 2)

        images = channels_of_all(x, in_dims[0]), channels_of_all(v, in_dims[1])
        result = _call(*images, kh, kw, corner, support, groups * info.batch_size)
        return result.unflatten(0, (info.batch_size, -1)), 0


class _ForwardMode(_CausalWeightGradient):
    """With forward mode too: a class of its own, as `torch.compile` traces no Function that has a `jvp`."""

    @staticmethod
    def setup_context(ctx, inputs, output):
        _CausalWeightGradient.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def jvp(ctx, dx, dv, *_):
        refuse_nested_forward_mode()
        x, v = ctx.saved_tensors
        options = {"corner": ctx.corner, "support": ctx.support, "groups": ctx.groups}
        moved = [(dx, v), (x, dv)]
        return sum(causal_weight_gradient(*pair, ctx.size, **options) for pair in moved if None not in pair)


def _call(x: Tensor, v: Tensor, *options: Any) -> Tensor:
    if is_tracked(x, v):
        differentiable = _CausalWeightGradient if torch.compiler.is_compiling() else _ForwardMode
        return differentiable.apply(x, v, *options)
    with torch._C._AutoDispatchBelowAutograd():
        return _below(x, v, *options)


def _below(x: Tensor, v: Tensor, *options: Any) -> Tensor:
    """The operator below autograd."""
    return _op(x, v, *options) if is_dispatched(x, v) else _gradient(x, v, *options)


@torch.library.impl("deconv::causal_weight_gradient", "Autograd")
def _differentiable(x, v, *options):
    """What a graph runs that holds the operator without its wrapper."""
    refuse_tangents(x, v)
    if torch.is_grad_enabled() and (x.requires_grad or v.requires_grad):
        return _CausalWeightGradient.apply(x, v, *options)
    with torch._C._AutoDispatchBelowAutograd():
        return _op(x, v, *options)


def causal_weight_gradient(
    x: Tensor, v: Tensor, kernel_size: tuple[int, int], *, corner: Corner, support: Support, groups: int
) -> Tensor:
    """``dW[q] = sum over p of v[p] x[p - q]^T``: the gradient of ``<v, causal_conv2d(x, W)>`` with respect to `W`.

    Parameters
    ----------
    x, v : Tensor
        Images `(B, C, H, W)`.
    kernel_size : tuple of int
        `(kh, kw)`.
    corner : {"tl", "tr", "bl", "br"}
        Where the past lies.
    support : {"quarter", "half"}
        What the past is.
    groups : int
        Channel groups.

    Returns
    -------
    Tensor
        `(C, C / groups, kh, kw)`, zero where the support has no taps.
    """
    return _call(x, v, *kernel_size, corner, support, groups)
