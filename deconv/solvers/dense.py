"""The whole operator as one matrix, and one solve with it: for tiny problems, and to test the others.

It shares no index arithmetic with the other solvers: corners are written out here, not reached by flipping.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from .anchor import invert_anchor
from .geometry import Corner, Support, anchor_column, is_flipped

__all__ = ["operator_matrix", "solve"]


def operator_matrix(
    weight: Tensor, height: int, width: int, *, corner: Corner, support: Support, groups: int
) -> Tensor:
    """The causal convolution on images `height` by `width` as matrices `(groups, N, N)`, ``N = C / groups * H * W``.

    Rows and columns are ordered (channel, row, column). ``A[o p, i q] = W[o, i, anchor + (q - p)]``, with the
    differences of rows or columns reversed where the corner is at the bottom or on the right.
    """
    inner, kh, kw = weight.shape[1:]
    flip_rows, flip_columns = is_flipped(corner)
    taps = []
    for size, length, anchor, flipped in (
        (kh, height, kh - 1, flip_rows),
        (kw, width, anchor_column(kw, support), flip_columns),
    ):
        place = torch.arange(length, device=weight.device)
        ahead = place[None, :] - place[:, None]  # of the pixel seen, over the pixel that sees
        tap = anchor + (-ahead if flipped else ahead)
        taps.append(torch.where((tap < 0) | (tap >= size), size, tap))  # the padding below: a tap of zero
    padded = pad(weight.reshape(groups, inner, inner, kh, kw), (0, 1, 0, 1))
    blocks = padded[..., taps[0][:, None, :, None], taps[1][None, :, None, :]]
    unknowns = inner * height * width
    return blocks.permute(0, 1, 3, 4, 2, 5, 6).reshape(groups, unknowns, unknowns)


def solve(y: Tensor, weight: Tensor, *, corner: Corner, support: Support, groups: int) -> Tensor:
    """Solve ``T^-1 A x = T^-1 y``, unit triangular in raster order; see `deconv.solvers.solve` for the arguments."""
    inverse = invert_anchor(weight, support, groups)
    batch, _, height, width = y.shape
    inner = weight.shape[1]
    matrix = operator_matrix(weight, height, width, corner=corner, support=support, groups=groups)
    matrix = matrix.reshape(groups, inner, height * width, inner, height * width)
    order = torch.arange(height * width, device=y.device).reshape(height, width)
    reverse = [axis for axis, flipped in enumerate(is_flipped(corner)) if flipped]
    order = order.flip(reverse).flatten()  # pixels from the corner on
    matrix = torch.einsum("gno,gopiq->gpnqi", inverse, matrix[:, :, order][..., order])
    data = y.reshape(batch, groups, inner, height * width)[..., order]
    data = torch.einsum("gno,bgop->gpnb", inverse, data)
    unknowns = inner * height * width
    solution = torch.linalg.solve_triangular(
        matrix.reshape(groups, unknowns, unknowns),
        data.reshape(groups, unknowns, batch),
        upper=False,
        unitriangular=True,
    )
    x = torch.empty(batch, groups, inner, height * width, dtype=y.dtype, device=y.device)
    x[..., order] = solution.reshape(groups, height * width, inner, batch).permute(3, 0, 2, 1)
    return x.reshape(y.shape)
