r"""3 x 3 convolutions with many channels by Winograd's minimal filtering, F(4 x 4, 3 x 3).

A tile of 4 x 4 outputs is :math:`A^T \left[ (G g G^T) \odot (B^T d B) \right] A` of a 3 x 3 filter g and the 6 x 6
inputs d: 36 products in place of 144. Over all channels the products are 36 products of matrices. Channels lie
innermost in memory and in the lanes, so that transforms are sums of registers; a few tiles at a time, so that all is
done in the nearest caches, what an activation function makes of the outputs included.

References
----------
Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from numba.core import types
from numba.extending import intrinsic
from torch import Tensor

from ...solvers.compiled.cache import cached_cfunc
from ...solvers.compiled.memory_intrinsics import atomic_next, read_word, read_words
from ...solvers.compiled.prepared import accumulators
from ...solvers.compiled.vector import (
    F64,
    INT64,
    Vector,
    are_literals,
    fma_grid,
    steps_of,
    store_grid,
    zeros,
)
from .expressions import Expression, logistic

__all__ = [
    "ACTIVATE",
    "ADD",
    "MARGIN",
    "SCALE",
    "TILE",
    "convolution_kernel",
    "scratch_bytes",
    "tiles_of_task",
    "transformed_filters",
]

TILE = 4
MARGIN = 2  # pixels around an image in memory
_SEEN = TILE + 2
_PLACES = _SEEN**2

# What is done with the outputs: a bias added; a bias added, and SiLU and its derivative written; or a product with what
# was written for the same pixel.
ADD, ACTIVATE, SCALE = range(3)


def transformed_filters(weight: Tensor) -> Tensor:
    """:math:`G g G^T` of filters `(out, in, 3, 3)`, `(36, in, out)`."""
    points = [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6]]
    points += [[1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
    g = torch.tensor(points, dtype=torch.float64)
    return torch.einsum("ua,oiab,vb->uvio", g, weight.double(), g).flatten(0, 1).to(weight.dtype).contiguous()


def _transform_in(d):
    """:math:`B^T d`."""
    even, odd = d[4] - 4 * d[2], d[3] - 4 * d[1]
    far_even, far_odd = d[4] - d[2], 2 * (d[3] - d[1])
    return [
        4 * d[0] - 5 * d[2] + d[4], even + odd, even - odd,
        far_even + far_odd, far_even - far_odd, 4 * d[1] - 5 * d[3] + d[5],
    ]  # fmt: skip


def _transform_out(m):
    """:math:`A^T m`."""
    near, far = m[1] + m[2], m[3] + m[4]
    near_odd, far_odd = m[1] - m[2], m[3] - m[4]
    return [m[0] + near + far, near_odd + 2 * far_odd, near + 4 * far, near_odd + 8 * far_odd + m[5]]


@intrinsic(prefer_literal=True)
def _tile_in(typingctx, kind, source, row, pixel, target, stride):
    """Transform 6 x 6 vectors at ``source + i * row + j * pixel``; result k goes to ``target + k * stride``."""
    if not are_literals(kind):
        return None
    vector = Vector(kind.literal_value)

    def codegen(context, builder, signature, arguments):
        _, source, row, pixel, target, stride = arguments
        lines = [steps_of(builder, line, pixel, _SEEN) for line in steps_of(builder, source, row, _SEEN)]
        columns = [_transform_in([Expression.at(builder, vector, line[j]) for line in lines]) for j in range(_SEEN)]
        places = steps_of(builder, target, stride, _PLACES)
        for u in range(_SEEN):
            for v, value in enumerate(_transform_in([column[u] for column in columns])):
                value.to(places[u * _SEEN + v])
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 5), codegen


@intrinsic(prefer_literal=True)
def _tile_out(typingctx, kind, purpose, source, stride, target, row, pixel, other, bias):
    """Transform 36 vectors at ``source + k * stride`` to 4 x 4 outputs, and finish these; see `ADD` and so on.

    They go to ``target + i * row + j * pixel``; at the same distances from `other` is the derivative or the factor.
    """
    if not are_literals(kind, purpose):
        return None
    vector, wanted = Vector(kind.literal_value), purpose.literal_value

    def codegen(context, builder, signature, arguments):
        _, _, source, stride, target, row, pixel, other, bias = arguments
        given = [Expression.at(builder, vector, place) for place in steps_of(builder, source, stride, _PLACES)]
        columns = [_transform_out(given[v::_SEEN]) for v in range(_SEEN)]
        distances = [steps_of(builder, line, pixel, TILE) for line in steps_of(builder, INT64(0), row, TILE)]
        constant = None if wanted == SCALE else Expression.at(builder, vector, bias)
        for i in range(TILE):
            for j, value in enumerate(_transform_out([column[i] for column in columns])):
                here, there = (builder.add(base, distances[i][j]) for base in (target, other))
                if wanted == SCALE:
                    (value * Expression.at(builder, vector, there)).to(here)
                    continue
                value = value + constant
                if wanted == ACTIVATE:
                    share = logistic(value)
                    (share + share * value * (1 - share)).to(there)
                    value = value * share
                value.to(here)
        return context.get_dummy_value()

    return types.void(kind, purpose, *[types.int64] * 7), codegen


def tiles_of_task(vectors: int) -> int:
    """Tiles whose products are summed at once, by one task."""
    return max(1, accumulators() // vectors)


def scratch_bytes(kind: int, vectors: int) -> int:
    """Working memory of a thread."""
    return 2 * _PLACES * tiles_of_task(vectors) * vectors * (kind % 1000) * (8 if kind >= F64 else 4)


@lru_cache
def convolution_kernel(kind: int, vectors: int):
    """The convolution of images whose pixels have `vectors` registers of `kind` of channels, to as many.

    Its words, behind the header: addresses of the images, of the result and of the derivative or the factor, all with a
    margin of `MARGIN` pixels around whole tiles; tiles in a column and in a row of an image, and in all; the filters,
    `(36, in, out)`; the biases and the bytes from those of an image to the next; the purpose; address of the working
    memory, its bytes per thread. A task is a run of `tiles_of_task` tiles.
    """
    lanes = kind % 1000
    itemsize = 8 if kind >= F64 else 4
    register = lanes * itemsize
    channels = vectors * lanes
    pixel = channels * itemsize
    count = tiles_of_task(vectors)
    matrix = channels * pixel
    step = count * pixel
    grid = vectors * count

    @cached_cfunc
    def kernel(table):
        (
            source, target, other, rows, columns, tiles, filters, biases, bias_step, purpose, scratch, scratch_bytes,
        ) = read_words(table + 24, 12)  # fmt: skip
        memory = scratch + atomic_next(table + 8) * scratch_bytes
        sums = memory + 36 * step
        line = (4 * columns + 4) * pixel
        image = (4 * rows + 4) * line

        task = atomic_next(table)
        while task < read_word(table + 16):
            for t in range(count):
                tile = min(task * count + t, tiles - 1)
                place = tile // (rows * columns) * image
                place += (4 * (tile // columns % rows) + 1) * line + (4 * (tile % columns) + 1) * pixel
                for v in range(vectors):
                    _tile_in(kind, source + place + v * register, line, pixel, memory + t * pixel + v * register, step)

            for k in range(36):
                values = zeros(kind, grid)
                weight = filters + k * matrix
                seen = memory + k * step
                for _ in range(channels):
                    values = fma_grid(values, vectors, weight, seen, pixel)
                    weight += pixel
                    seen += itemsize
                store_grid(values, vectors, sums + k * step, pixel, 0, count)

            for t in range(count):
                tile = min(task * count + t, tiles - 1)
                place = tile // (rows * columns) * image
                place += (4 * (tile // columns % rows) + 2) * line + (4 * (tile % columns) + 2) * pixel
                bias = biases + tile // (rows * columns) * bias_step
                for v in range(vectors):
                    here = place + v * register
                    seen = sums + t * pixel + v * register
                    if purpose == 0:
                        _tile_out(kind, 0, seen, step, target + here, line, pixel, other + here, bias + v * register)
                    elif purpose == 1:
                        _tile_out(kind, 1, seen, step, target + here, line, pixel, other + here, bias + v * register)
                    else:
                        _tile_out(kind, 2, seen, step, target + here, line, pixel, other + here, bias + v * register)
            task = atomic_next(table)

    return kernel
