"""The run over the diagonals of tiles."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from deconv.solvers.geometry import Corner, Support, anchor_column, flip

from .strips import Strips
from .tile_matrix import tile_matrix
from .tiling import Tiling, choose_tiling

__all__ = ["solve", "solve_tiled"]

_BLOCK = 1 << 17  # elements that are worth one call


def solve(y: Tensor, weight: Tensor, *, corner: Corner, support: Support, groups: int) -> Tensor:
    """Solve ``A x = y`` tile by tile; see `deconv.solvers.solve` for the arguments."""
    height, width = y.shape[-2:]
    weight = _visible(weight, height, width, support)
    tiling = choose_tiling(tuple(y.shape), tuple(weight.shape), support, y.device.type, torch.get_num_threads())
    return solve_tiled(y, weight, tiling, corner=corner, support=support, groups=groups)


def solve_tiled(y: Tensor, weight: Tensor, tiling: Tiling, *, corner: Corner, support: Support, groups: int) -> Tensor:
    """`solve` with a given tiling. A half plane needs tiles of height 1, and no kernel may exceed the image."""
    matrix = tile_matrix(weight, tiling, support, groups)
    chunk = min(tiling.chunk or len(y), len(y))
    layout = Strips.of((chunk, *y.shape[1:]), tuple(weight.shape), tiling, support)
    left = anchor_column(weight.shape[-1], support) * layout.column
    sweep = _gathered_sweep if tiling.gather else _in_place_sweep

    x = torch.empty_like(y, memory_format=torch.contiguous_format)
    for part, solved in zip(y.split(chunk), x.split(chunk), strict=True):
        buffer = layout.load(flip(part, corner))
        sweep(buffer, matrix, left, layout)
        layout.unload(buffer, solved)
    return flip(x, corner)


def _visible(weight: Tensor, height: int, width: int, support: Support) -> Tensor:
    """The part of a kernel through which some pixel of an image of this size can see another."""
    kh, kw = weight.shape[-2:]
    hidden = max(0, anchor_column(kw, support) - (width - 1))
    return weight[:, :, max(0, kh - height) :, hidden : kw if support == "quarter" else kw - hidden]


def _in_place_sweep(buffer: Tensor, matrix: Tensor, left: int, layout: Strips) -> None:
    """Turn data into solution: first every tile by itself, then, diagonal by diagonal, what its window adds.

    The products read the windows where they are, one strip at a time.
    """
    own = matrix[:, :, -1, left : left + layout.tile].mT
    tiles = buffer.view(layout.groups, -1, layout.tile)
    for part in tiles.split(max(1, _BLOCK // layout.tile), dim=1):
        part.copy_(torch.bmm(part, own))

    *above, beside = _squeezed(matrix).unbind(-2)
    bands = [(strip, band.mT) for strip, band in enumerate(reversed(above), 1)]
    if left:
        bands.append((0, beside[..., :left].mT))
    accumulate = Tensor.addmm_ if layout.groups == 1 else Tensor.baddbmm_

    def advance(address: int, first: int, count: int) -> None:
        for up, band in bands:
            missing = max(0, up - first) * layout.batch  # tiles that have no strip so far above them
            if missing < count:
                start = address + missing * layout.pitch
                tiles = layout.at(buffer, start, count - missing, layout.tile)
                run = layout.at(buffer, start - up * layout.stride - left, count - missing, band.shape[-2])
                accumulate(tiles, run, band)

    if bands:
        _run(advance, buffer, layout)


def _gathered_sweep(buffer: Tensor, matrix: Tensor, left: int, layout: Strips) -> None:
    """Turn data into solution, diagonal by diagonal, by one product with the windows, copied side by side."""
    strips, run = matrix.shape[2:]
    back = (strips - 1) * layout.stride + left
    inverse = _squeezed(matrix.flatten(2)).mT
    multiply = torch.mm if layout.groups == 1 else torch.bmm

    def advance(address: int, first: int, count: int) -> None:
        windows = layout.windows(buffer, address - back, count, strips, run)
        windows = windows.clone(memory_format=torch.contiguous_format)  # always: the product overwrites them
        multiply(windows.flatten(-2), inverse, out=layout.at(buffer, address, count, layout.tile))

    _run(advance, buffer, layout)


def _run(advance: Callable[[int, int, int], None], buffer: Tensor, layout: Strips) -> None:
    for step in range(layout.steps):
        advance(*layout.diagonal(step))
        if layout.overhang > layout.indent:
            layout.clear_overhang(buffer, step)


def _squeezed(matrix: Tensor) -> Tensor:
    """Without the axis of the groups where there is one: a product of matrices costs less than a batch of one."""
    return matrix[0] if len(matrix) == 1 else matrix
