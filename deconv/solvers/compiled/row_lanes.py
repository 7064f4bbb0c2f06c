"""Pixels of a row in the lanes: for few channels and few images, quarter and half plane alike.

A register holds neighbouring pixels of one row. Inside it the recurrence along the row is a small dense matrix: with
`r` what the row has to explain (the observation less the part of the rows above) and `x_before` the pixels before,

    x = A r - K x_before,

`A` the inverse of the row's operator on one register, `K` its product with the coupling to the pixels before. `A r`
does not wait for anything; only the short sum over `K` is serial. A finished row is then pushed to the `kh - 1` rows
below at once: one load of its pixels serves all of them, which wait as running sums in a buffer that stays in the
cache.

Flipped corners are walked backwards: pixels keep their places in memory, `A` and `K` are mirrored, steps change sign.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .cache import cached_cfunc
from .masked import load_pixels, store_pixels
from .memory_intrinsics import atomic_next, read_word, read_words
from .prepared import PreparedKernel, SolveShape, accumulators
from .tables import pack_rows_below, row_tables
from .vector import F32, F64, fma_diagonal, fma_grid, load, store, total, zeros

__all__ = ["prepare"]


@lru_cache
def _kernel(kind: int, pushed: int):
    """The kernel for registers of `kind` that pushes to `pushed` running sums at a time.

    Its words, behind the header: addresses of the observation and the solution (contiguous NCHW); batch, groups,
    channels per group, height, width; whether rows and columns are flipped (0 or 1); rows below that a row is pushed
    to, rows of the buffer; bytes of a buffered line, bytes before its first pixel; pixels before that `K` takes,
    kernel columns, offset of the first in pixels; bytes per group of the last table; addresses of `A` (group, output,
    input, column, lane), of `-K` (group, output, input, pixel before, lane), of the negated taps (group, block of
    `pushed` sums, input, kernel column, sum); address of the working memory, its bytes per thread.
    """
    lanes = kind % 1000
    itemsize = 8 if kind >= F64 else 4
    bytes_ = lanes * itemsize

    @cached_cfunc
    def kernel(table):
        (
            y, x, _, groups, channels, height, width, rows_flipped, columns_flipped, depth, buffer_rows, line,
            margin, reach, columns, shift, group_weights, inverse, coupling, weights, scratch, scratch_bytes,
        ) = read_words(table + 24, 22)  # fmt: skip
        blocks = (width + lanes - 1) // lanes
        # Blocks go from the first pixel on: leftmost, or rightmost and towards the left.
        origin = (width - lanes) * itemsize if columns_flipped else 0
        advance = -bytes_ if columns_flipped else bytes_
        # The pixels before a block: just left of it, or just right of it.
        before = bytes_ if columns_flipped else -itemsize
        backwards = itemsize if columns_flipped else -itemsize
        sums = depth * channels
        plane = height * width * itemsize

        memory = scratch + atomic_next(table + 8) * scratch_bytes
        solved = memory + margin
        explained = solved + channels * line
        buffer = explained + channels * line
        memory_end = buffer - margin + (buffer_rows * channels + pushed) * line

        task = atomic_next(table)
        while task < read_word(table + 16):
            group = task % groups
            group_inverse = inverse + group * channels * channels * lanes * bytes_
            group_coupling = coupling + group * channels * channels * reach * bytes_
            for address in range(memory, memory_end, bytes_):
                store(zeros(kind, 1), address, 0)
            row = buffer

            for i in range(height):
                memory_row = height - 1 - i if rows_flipped else i
                offset = task * channels * plane + memory_row * width * itemsize

                for channel in range(channels):
                    for block in range(blocks):
                        place = origin + block * advance
                        low = max(0, -place // itemsize)
                        high = min(lanes, width - place // itemsize)
                        seen = load_pixels(kind, y + offset + channel * plane + place, low, high)
                        address = row + channel * line + place
                        store(total(seen + load(kind, 1, address, 0)), address, 0)

                matrix = group_inverse
                for output in range(channels):
                    block = 0
                    while block < blocks:
                        place = origin + block * advance
                        target = explained + output * line + place
                        column = matrix
                        source = row + place
                        if block + 4 <= blocks:
                            values = zeros(kind, 4)
                            for _ in range(channels):
                                for lane in range(lanes):
                                    values = fma_grid(values, 1, column, source + lane * itemsize, advance)
                                    column += bytes_
                                source += line
                            store(values, target, advance)
                            block += 4
                        else:
                            value = zeros(kind, 1)
                            for _ in range(channels):
                                for lane in range(lanes):
                                    value = fma_grid(value, 1, column, source + lane * itemsize, 0)
                                    column += bytes_
                                source += line
                            store(value, target, 0)
                            block += 1
                    matrix += channels * lanes * bytes_

                for block in range(blocks):
                    place = origin + block * advance
                    low = max(0, -place // itemsize)
                    high = min(lanes, width - place // itemsize)
                    column = group_coupling
                    for output in range(channels):
                        values = load(kind, 1, explained + output * line + place, 0) + zeros(kind, 3)
                        for channel in range(channels):
                            seen = solved + channel * line + place + before
                            for _ in range(0, reach, 4):
                                values = fma_diagonal(values, column, bytes_, seen, backwards)
                                seen += 4 * backwards
                                column += 4 * bytes_
                        result = total(values)
                        target = x + offset + output * plane + place
                        if high - low == lanes:
                            store(result, solved + output * line + place, 0)
                            store(result, target, 0)
                        else:  # pixels outside the image stay zero
                            store_pixels(result, solved + output * line + place, low, high)
                            store_pixels(result, target, low, high)

                row += channels * line
                used = min(sums, (height - 1 - i) * channels)
                weight = weights + group * group_weights
                for first in range(0, used, pushed):
                    for block in range(blocks):
                        place = origin + block * advance
                        address = row + first * line + place
                        values = load(kind, pushed, address, line)
                        taps = weight
                        for channel in range(channels):
                            seen = solved + channel * line + place + shift * itemsize
                            for _ in range(columns):
                                values = fma_grid(values, 1, seen, taps, itemsize)
                                seen += itemsize
                                taps += pushed * itemsize
                        store(values, address, line)
                    weight += channels * columns * pushed * itemsize

                # At the end of the buffer the waiting rows move to its front.
                if row + (sums + channels) * line > buffer + buffer_rows * channels * line:
                    for step in range(0, sums * line, bytes_):
                        store(load(kind, 1, row - margin + step, 0), buffer - margin + step, 0)
                    for address in range(buffer - margin + sums * line, memory_end, bytes_):
                        store(zeros(kind, 1), address, 0)
                    row = buffer
            task = atomic_next(table)

    return kernel


def prepare(shape: SolveShape) -> PreparedKernel:
    """Lay the pixels of a row into the lanes."""
    depth = min(shape.kernel_height, shape.height) - 1
    columns = [b for b in range(shape.kernel_width) if abs(shape.anchor - b) < shape.width]
    shift = columns[0] - shape.anchor
    if shape.columns_flipped:
        columns, shift = columns[::-1], shape.anchor - columns[-1]
    columns = np.array(columns, np.int64)
    reach = -(-min(shape.anchor, shape.width - 1) // 4) * 4  # the kernel sums over K four pixels at a time
    blocks = max(1, -(-depth * shape.channels // accumulators()))
    pushed = max(1, -(-depth * shape.channels // blocks))
    group_weights = blocks * shape.channels * len(columns) * pushed * shape.itemsize

    margin = -(-(max(shape.lanes, shape.kernel_width, reach) + shape.lanes) // shape.lanes) * shape.register_bytes
    line = 2 * margin + -(-shape.width // shape.lanes) * shape.register_bytes
    buffer_rows = min(shape.height, 3 * depth + 8) + depth + 1

    def pack(weight, inverse, identity):
        dense = np.zeros((shape.groups, shape.channels, shape.channels, shape.lanes, shape.lanes), weight.dtype)
        coupling = np.zeros((shape.groups, shape.channels, shape.channels, reach, shape.lanes), weight.dtype)
        row_tables(
            weight, shape.groups, shape.anchor, shape.columns_flipped, shape.lanes, reach, inverse, dense, coupling
        )
        packed = np.empty(shape.groups * group_weights // shape.itemsize, weight.dtype)
        pack_rows_below(weight, shape.groups, depth, columns, pushed, packed)
        return dense, coupling, packed

    words = (
        shape.batch, shape.groups, shape.channels, shape.height, shape.width,
        int(shape.rows_flipped), int(shape.columns_flipped),
        depth, buffer_rows, line, margin, reach, len(columns), shift, group_weights,
    )  # fmt: skip
    return PreparedKernel(
        kernel=_kernel((F32 if shape.itemsize == 4 else F64) + shape.lanes, pushed),
        words=words,
        tables=(),
        pack=pack,
        tasks=shape.batch * shape.groups,
        scratch_bytes=(2 * shape.channels + buffer_rows * shape.channels + pushed) * line,
    )
