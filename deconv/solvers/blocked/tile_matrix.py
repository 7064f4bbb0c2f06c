"""The inverse of the operator on one tile, which is the same for every tile."""

from __future__ import annotations

import torch
from torch import Tensor

from deconv.solvers.anchor import anchor_of, invert_anchor
from deconv.solvers.geometry import Support, anchor_column

from .tiling import Tiling

__all__ = ["tile_matrix"]


def tile_matrix(weight: Tensor, tiling: Tiling, support: Support, groups: int) -> Tensor:
    r"""The matrix that solves a tile from its window: ``x_tile = M @ window``.

    The window of a tile is the strip that the tile lies in and those above it that the kernel can see, over the
    columns of the tile and `kw - 1` more. It holds the data `y` where the tile is, and the solution elsewhere. With
    `L` the operator from tile to tile, and `K` the one from the rest of the window to the tile,

    .. math:: x = L^{-1} (y - K x_{rest}), \qquad M = L^{-1} [\, I \mid -K \,]

    `L` is triangular, with ones on the diagonal, once the inverse of the anchor is multiplied into the taps. All of it
    is computed in float64, because its errors are those of every tile.

    Parameters
    ----------
    weight : Tensor
        `(C, C / groups, kh, kw)`.
    tiling : Tiling
        The size of a tile.
    support : {"quarter", "half"}
        Of the kernel.
    groups : int
        Channel groups.

    Returns
    -------
    Tensor
        `(groups, tile, strips, run)` in the dtype of `weight`; a tile in the order (column, row, channel), and so is
        each strip of the window.
    """
    dtype = weight.dtype
    invert_anchor(weight, support, groups)  # refuses what is singular to the precision of the kernel
    weight = weight.double()
    _, inner, kh, kw = weight.shape
    rows, columns = tiling.height, tiling.width
    above = tiling.strips_above(kh)
    width = columns + kw - 1
    column = rows * inner
    size = columns * column

    inverse, _ = torch.linalg.inv_ex(anchor_of(weight, support, groups))
    taps = torch.bmm(inverse, weight.reshape(groups, inner, inner * kh * kw))

    # A row (column, row, channel) of the operator is the kernel, shifted by (row, column) inside the window: a strided
    # view of the kernel with zeros around it. Strides are positive, so the shifts come out in reverse order.
    padded = weight.new_zeros(groups, inner, (above + 2) * rows - 1, width + columns - 1, inner)
    top, left = (above + 1) * rows - kh, columns - 1
    place = padded[:, :, top : top + kh, left : left + kw]
    place.copy_(taps.view(groups, inner, inner, kh, kw).permute(0, 1, 3, 4, 2))
    of_group, of_output, of_row, of_column, _ = padded.stride()
    operator = padded.as_strided(
        (groups, columns, rows, inner, above + 1, width, rows, inner),
        (of_group, of_column, of_row, of_output, rows * of_row, of_column, of_row, 1),
    )
    operator = operator.flip(1, 2).reshape(groups, size, above + 1, width * column)

    start = anchor_column(kw, support) * column
    own = operator[:, :, above, start : start + size].clone()
    known = operator.neg_()
    anchors = weight.new_zeros(groups, rows * columns, inner, rows * columns, inner)
    anchors.diagonal(dim1=1, dim2=3).copy_(inverse.unsqueeze(-1))
    known[:, :, above, start : start + size] = anchors.view(groups, size, size)
    if rows * columns > 1:
        solved = torch.linalg.solve_triangular(own, known.flatten(2), upper=False, unitriangular=True)
        known = solved.view_as(known)
    return known.to(dtype)
