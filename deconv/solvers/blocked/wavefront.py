"""The run over the diagonals of tiles."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deconv.solvers.geometry import anchor_column, flip

from .strips import Strips
from .tile_matrix import tile_matrix
from .tiling import Tiling, choose_tiling

__all__ = ["solve", "solve_tiled"]


def solve(y: Tensor, weight: Tensor, *, corner: str, support: str, groups: int) -> Tensor:
    """Solve ``A x = y`` tile by tile; see `deconv.solvers.solve` for the arguments."""
    weight = _visible(weight, y.shape[-2:], support)
    tiling = choose_tiling(
        tuple(y.shape), tuple(weight.shape), support, y.device.type, torch.get_num_threads()
    )
    return solve_tiled(y, weight, tiling, corner=corner, support=support, groups=groups)


def solve_tiled(
    y: Tensor, weight: Tensor, tiling: Tiling, *, corner: str, support: str, groups: int
) -> Tensor:
    """`solve` with a given tiling. A half plane needs tiles of height 1."""
    matrix = tile_matrix(weight, tiling, support, groups)
    left = anchor_column(weight.shape[-1], support)
    if tiling.chunk >= y.shape[0]:
        return flip(_solve_part(flip(y, corner), weight, matrix, left, tiling, support), corner)
    x = torch.empty_like(y, memory_format=torch.contiguous_format)
    for part, solved in zip(y.split(tiling.chunk), x.split(tiling.chunk), strict=True):
        _solve_part(flip(part, corner), weight, matrix, left, tiling, support, solved)
    return flip(x, corner)


def _visible(weight: Tensor, size: tuple[int, int], support: str) -> Tensor:
    """The part of a kernel that some pixel of an image of this size can see through."""
    height, width = size
    kh, kw = weight.shape[-2:]
    hidden = max(0, anchor_column(kw, support) - (width - 1))
    return weight[:, :, max(0, kh - height) :, hidden : kw if support == "quarter" else kw - hidden]


def _solve_part(
    y: Tensor,
    weight: Tensor,
    matrix: Tensor,
    left: int,
    tiling: Tiling,
    support: str,
    x: Tensor | None = None,
) -> Tensor:
    """Solve some images of the batch, seen from corner ``"tl"``, into `x`."""
    layout = Strips.of(tuple(y.shape), tuple(weight.shape), tiling, support)
    overhang = layout.overhang > layout.indent
    advance = _gathered(matrix, left, layout) if tiling.gather else _in_place(matrix, left, layout)
    solution = layout.load(y)
    if not tiling.gather:
        solution = _tile_inverse(matrix, left, layout, solution)
    for step in range(layout.steps):
        address, count = layout.diagonal(step)
        advance(solution, address, count)
        if overhang:
            layout.clear_overhang(solution, step)
    if x is None:
        x = torch.empty_like(y, memory_format=torch.contiguous_format)
    layout.unload(solution, x)
    return x


def _tile_inverse(matrix: Tensor, left: int, layout: Strips, data: Tensor) -> Tensor:
    """Every tile solved by itself, as if there were zeros around it: one product for the whole buffer."""
    start = left * layout.column
    own = matrix[:, :, -1, start : start + layout.tile].mT
    tiles = data.view(layout.groups, -1, layout.tile)
    return torch.bmm(tiles, own).view_as(data)


def _in_place(matrix: Tensor, left: int, layout: Strips) -> Callable[[Tensor, int, int], None]:
    """Finish a diagonal of tiles: add what each strip of the window contributes, read where it is."""
    *above, own = _squeezed(matrix).unbind(-2)
    margin = left * layout.column
    runs = [(strip * layout.stride + margin, band.mT) for strip, band in enumerate(reversed(above), 1)]
    if margin:
        runs.append((margin, own[..., :margin].mT))
    accumulate = Tensor.addmm_ if layout.groups == 1 else Tensor.baddbmm_

    def advance(solution: Tensor, address: int, count: int) -> None:
        tiles = layout.at(solution, address, count, layout.tile)
        for back, band in runs:
            accumulate(tiles, layout.at(solution, address - back, count, band.shape[-2]), band)

    return advance


def _gathered(matrix: Tensor, left: int, layout: Strips) -> Callable[[Tensor, int, int], None]:
    """Solve a diagonal of tiles by one product with their windows, copied side by side."""
    strips, run = matrix.shape[2:]
    back = (strips - 1) * layout.stride + left * layout.column
    inverse = _squeezed(matrix.flatten(2)).mT
    multiply = torch.mm if layout.groups == 1 else torch.bmm

    def advance(solution: Tensor, address: int, count: int) -> None:
        windows = layout.windows(solution, address - back, count, strips, run)
        windows = windows.clone(memory_format=torch.contiguous_format)  # always: the product overwrites them
        multiply(windows.flatten(-2), inverse, out=layout.at(solution, address, count, layout.tile))

    return advance


def _squeezed(matrix: Tensor) -> Tensor:
    """Without the axis of the groups where there is one: a product of matrices costs less than a batch of one."""
    return matrix[0] if len(matrix) == 1 else matrix
