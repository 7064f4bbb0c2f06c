"""The schedule of the paper, as a baseline: one diagonal of pixels after the other, some launches for each.

Nagar and Varma (AISTATS 2025) give every diagonal its launches, and wait for the device after each of them. Here the
diagonals are the same, in three or four operations of PyTorch each, which is what theirs take for 12 channels, and
nobody waits. The mathematics is corrected: channels are mixed by the kernel's own matrices, the gradient of the data is
solved with the transposed operator, and that of the kernel is formed from the solution, through all windows of the
images at once as theirs is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad, unfold

from deconv.solvers.anchor import anchor_of, invert_anchor
from deconv.solvers.geometry import Support, flip, padding, support_mask, transpose_weight

from .operations import Operands

__all__ = ["by_diagonals"]


def by_diagonals(operands: Operands) -> tuple[Callable[[], Tensor], Callable[[], tuple[Tensor, ...]]]:
    """Solving, and solving with both gradients, like `deconv.bench.operations.solution`."""
    images, weight, support = operands.images, operands.weight, operands.case.support
    mask = support_mask(*weight.shape[-2:], support, weight.device)

    def both() -> tuple[Tensor, ...]:
        x = _solve(images, weight, support)
        # The transposed operator looks from the opposite corner: reverse the images, swap the channels of the kernel.
        v = flip(_solve(flip(operands.gradient, "br"), transpose_weight(weight, 1), support), "br")
        windows = unfold(pad(x, operands.case.padding), weight.shape[-2:])
        dweight = -torch.einsum("bop,bkp->ok", v.flatten(2), windows).reshape(weight.shape)
        return x, v, dweight * mask

    return (lambda: _solve(images, weight, support)), both


def _solve(y: Tensor, weight: Tensor, support: Support) -> Tensor:
    batch, channels, height, width = y.shape
    kh, kw = weight.shape[-2:]
    left, right, top, _ = padding(kh, kw, support)
    slope = right + 1
    inverse = invert_anchor(weight, support, 1)[0]
    others = weight.clone()
    anchor_of(others, support, 1).zero_()
    taps = (inverse @ others.flatten(1)).mT
    y = torch.einsum("oi,bihw->bohw", inverse, y).contiguous()
    x = pad(torch.zeros_like(y), (left, right, top, 0))
    image, channel, row, column = x.stride()

    for step in range(width + slope * (height - 1)):
        first, last = max(0, -(-(step - width + 1) // slope)), min(height - 1, step // slope)
        count, start = last - first + 1, step - slope * first
        data = y.as_strided((count, batch, channels), (width - slope, *y.stride()[:2]), first * width + start).reshape(
            -1, channels
        )
        corner = first * row + start
        windows = x.as_strided(
            (count, batch, channels, kh, kw), (row - slope, image, channel, row, column), corner
        ).reshape(-1, channels * kh * kw)
        pixels = x.as_strided((count, batch, channels), (row - slope, image, channel), corner + top * row + left)
        pixels.copy_(torch.addmm(data, windows, taps, alpha=-1).view_as(pixels))
    return x[:, :, top:, left : left + width].contiguous()
