"""The inverse of the operator on one tile, which is the same for every tile."""

from __future__ import annotations

import torch
from torch import Tensor

from deconv.solvers.anchor import invert_anchor
from deconv.solvers.geometry import anchor_column

from .tiling import Tiling

__all__ = ["tile_matrix"]


def tile_matrix(weight: Tensor, tiling: Tiling, support: str, groups: int) -> Tensor:
    r"""The matrix that solves a tile from its window: ``x_tile = M @ window``.

    The window of a tile is `strips` bands of `tiling.height` rows, the last of them the tile's own, and
    `tiling.width + kw - 1` columns. It holds the data `y` where the tile is and the solution elsewhere. With the
    operator restricted to tile and window, ``L`` from tile to tile and ``K`` from the rest of the window to the tile,

    .. math:: x = L^{-1} (y - K x_{rest}) \quad\Rightarrow\quad M = L^{-1} [\, I \mid -K \,]

    `L` is unit triangular once the inverse of the anchor is multiplied into the taps.

    Returns
    -------
    `(groups, features, strips, run)`: features of a tile in the order (column, row, channel), and for each band of
    the window its features in the same order.
    """
    _, inner, kh, kw = weight.shape
    rows, columns = tiling.height, tiling.width
    above = tiling.strips_above(kh)
    width = columns + kw - 1
    features = columns * rows * inner

    inverse = invert_anchor(weight, support, groups)
    taps = torch.bmm(inverse, weight.reshape(groups, inner, inner * kh * kw))

    # Row (column, row, channel) of the operator is the kernel shifted by (row, column) inside the window: a strided
    # view of the kernel with zeros around it. Strides are positive, so the shifts come out in reverse order.
    padded = weight.new_zeros(groups, inner, (above + 2) * rows - 1, width + columns - 1, inner)
    top, left = (above + 1) * rows - kh, columns - 1
    padded[:, :, top : top + kh, left : left + kw] = taps.view(groups, inner, inner, kh, kw).permute(
        0, 1, 3, 4, 2
    )
    group, channel, row, column, _ = padded.stride()
    operator = padded.as_strided(
        (groups, columns, rows, inner, above + 1, width, rows, inner),
        (group, column, row, channel, rows * row, column, row, 1),
    )
    operator = operator.flip(1, 2).reshape(groups, features, above + 1, width * rows * inner)

    own = slice(
        anchor_column(kw, support) * rows * inner, (anchor_column(kw, support) + columns) * rows * inner
    )
    tile = operator[:, :, above, own].clone()
    anchors = weight.new_zeros(groups, rows * columns, inner, rows * columns, inner)
    anchors.diagonal(dim1=1, dim2=3).copy_(inverse.unsqueeze(-1))
    known = operator.neg_()
    known[:, :, above, own] = anchors.view(groups, features, features)
    if rows * columns == 1:
        return known
    solved = torch.linalg.solve_triangular(tile, known.flatten(2), upper=False, unitriangular=True)
    return solved.view_as(known)
