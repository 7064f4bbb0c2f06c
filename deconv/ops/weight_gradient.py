"""The gradient of a causal convolution with respect to its kernel, differentiable itself."""

from __future__ import annotations

import torch
from torch import Tensor

from deconv import solvers
from deconv.solvers.geometry import Corner, Support, flip, opposite, padding, transpose_weight

from .causal_conv import causal_conv2d, mask_to_support
from .tracking import is_tracked

__all__ = ["causal_weight_gradient"]

torch.library.define(
    "deconv::causal_weight_gradient",
    "(Tensor x, Tensor v, int kh, int kw, str corner, str support, int groups) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)


@torch.library.impl("deconv::causal_weight_gradient", "CompositeExplicitAutograd")
def _gradient(x, v, kh, kw, corner, support, groups):
    gradient = solvers.weight_gradient(x, v, (kh, kw), padding(kh, kw, support, corner), groups)
    return mask_to_support(flip(gradient, corner), support).contiguous()


@torch.library.register_fake("deconv::causal_weight_gradient")
def _(x, v, kh, kw, corner, support, groups):
    return x.new_empty(x.shape[1], x.shape[1] // groups, kh, kw)


_op = torch.ops.deconv.causal_weight_gradient.default


class _CausalWeightGradient(torch.autograd.Function):
    """Bilinear: ``<gradient(x, v), W> = <v, A_W x>``, so its own gradients are causal convolutions."""

    @staticmethod
    def forward(x, v, kh, kw, corner, support, groups):
        return _op(x, v, kh, kw, corner, support, groups)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, v, _, _, ctx.corner, ctx.support, ctx.groups = inputs
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
        result = _CausalWeightGradient.apply(*images, kh, kw, corner, support, groups * info.batch_size)
        return result.unflatten(0, (info.batch_size, -1)), 0


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
    call = _CausalWeightGradient.apply if is_tracked(x, v) else _op
    return call(x, v, *kernel_size, corner, support, groups)
