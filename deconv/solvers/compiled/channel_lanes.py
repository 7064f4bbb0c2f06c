"""Output channels in the lanes: for one or a few images with many channels.

A register holds neighbouring output channels of one pixel. Several rows are walked at once, each a few columns behind
the one above, so that their pixels do not depend on each other: every load of the weights serves all of them, which
makes the inner loop a small matrix product. The working rows lie channels innermost in a buffer that stays in the
cache; images are transposed between NCHW and this order in registers.

Flipped corners are walked backwards: rows and columns keep their places in memory, steps and offsets change sign.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .cache import cached_cfunc
from .masked import transpose_in, transpose_out
from .memory_intrinsics import atomic_next, read_word, read_words
from .prepared import PreparedKernel, SolveShape, address
from .tables import causal_taps, tap_packer
from .vector import F32, F64, fma_grid, load, load_grid, store, store_grid, zeros

__all__ = ["prepare"]


@lru_cache
def _kernel(kind: int, vectors: int, rows: int):
    """The kernel for blocks of `vectors` registers of `kind`, walking `rows` rows at once.

    Its words, behind the header: addresses of the observation and the solution (contiguous NCHW); batch, groups,
    channels per group, height, width; whether rows and columns are flipped (0 or 1); columns between two rows, rows
    above that are kept, rows of the buffer; bytes of a buffered row, bytes before its first pixel; number of taps,
    address of their (rows back, columns on); addresses of the negated taps, ordered by group, block, tap, input,
    output, and of the inverse anchor, ordered by group, block, input, output, or 0 for the identity; address of the
    working memory, its bytes per thread.
    """
    lanes = kind % 1000
    itemsize = 8 if kind >= F64 else 4
    bytes_ = lanes * itemsize
    grid = vectors * rows

    @cached_cfunc
    def kernel(table):
        (
            y, x, _, groups, channels, height, width, rows_flipped, columns_flipped, lag, depth, buffer_rows, line,
            margin, taps, tap_table, weights, inverse, scratch, scratch_bytes,
        ) = read_words(table + 24, 20)  # fmt: skip
        blocks = (channels + vectors * lanes - 1) // (vectors * lanes)
        pixel = blocks * vectors * bytes_
        tap = channels * vectors * bytes_
        plane = height * width * itemsize
        # From a pixel to the one walked at the same time in the next row.
        behind = line + (lag * pixel if columns_flipped else -lag * pixel)

        memory = scratch + atomic_next(table + 8) * scratch_bytes
        rest = memory  # right-hand sides of the pixels walked together
        buffer = rest + rows * pixel
        memory_end = buffer + buffer_rows * line

        task = atomic_next(table)
        while task < read_word(table + 16):
            group = task % groups
            for place in range(memory, memory_end, bytes_):
                store(zeros(kind, 1), place, 0)
            top = buffer + depth * line + margin  # first pixel in memory of the row walked first

            for i in range(0, height, rows):
                band = min(rows, height - i)
                for p in range(band):
                    memory_row = height - 1 - i - p if rows_flipped else i + p
                    offset = task * channels * plane + memory_row * width * itemsize
                    for channel in range(0, channels, lanes):
                        for j in range(0, width, lanes):
                            transpose_in(
                                kind, y + offset + channel * plane + j * itemsize, plane,
                                min(lanes, channels - channel), min(lanes, width - j),
                                top + p * line + j * pixel + channel * itemsize, pixel,
                            )  # fmt: skip

                for step in range(width + (band - 1) * lag):
                    first = max(0, (step - width) // lag + 1)
                    last = min(band, step // lag + 1)
                    here = top + (width - 1 - step if columns_flipped else step) * pixel
                    weight = weights + group * blocks * taps * tap
                    for block in range(blocks):
                        place = here + block * vectors * bytes_
                        values = load_grid(kind, vectors, rows, place, behind)
                        for t in range(taps):
                            back, on = read_words(tap_table + 16 * t, 2)
                            seen = here - back * line + on * pixel
                            for _ in range(channels):
                                values = fma_grid(values, vectors, weight, seen, behind)
                                seen += itemsize
                                weight += vectors * bytes_
                        if inverse:
                            store_grid(values, vectors, rest + block * vectors * bytes_, pixel, 0, rows)
                        else:
                            store_grid(values, vectors, place, behind, first, last)
                    if inverse:
                        weight = inverse + group * blocks * tap
                        for block in range(blocks):
                            values = zeros(kind, grid)
                            for channel in range(channels):
                                values = fma_grid(values, vectors, weight, rest + channel * itemsize, pixel)
                                weight += vectors * bytes_
                            store_grid(values, vectors, here + block * vectors * bytes_, behind, first, last)

                for p in range(band):
                    memory_row = height - 1 - i - p if rows_flipped else i + p
                    offset = task * channels * plane + memory_row * width * itemsize
                    for channel in range(0, channels, lanes):
                        for j in range(0, width, lanes):
                            transpose_out(
                                kind, top + p * line + j * pixel + channel * itemsize, pixel,
                                min(lanes, channels - channel), min(lanes, width - j),
                                x + offset + channel * plane + j * itemsize, plane,
                            )  # fmt: skip

                # At the end of the buffer the rows that the next ones see move to its front.
                top += rows * line
                if top - margin + rows * line > memory_end:
                    source = top - margin - depth * line
                    for step in range(0, depth * line, bytes_):
                        store(load(kind, 1, source + step, 0), buffer + step, 0)
                    top = buffer + depth * line + margin
            task = atomic_next(table)

    return kernel


def prepare(shape: SolveShape) -> PreparedKernel:
    """Lay the output channels into the lanes."""
    lanes = shape.lanes
    while lanes > 4 and lanes // 2 >= shape.channels:
        lanes //= 2
    registers = -(-shape.channels // lanes)
    blocks = -(-registers // 3)
    vectors = -(-registers // blocks)
    rows = min(8, 12 // vectors)

    taps = causal_taps(shape)
    back = shape.kernel_height - 1 - taps[:, 0]
    on = (taps[:, 1] - shape.anchor) * (-1 if shape.columns_flipped else 1)
    table = np.ascontiguousarray(np.stack([back, on], 1))
    depth = int(back.max(initial=0))
    lag = 1 + max(0, shape.kernel_width - 1 - shape.anchor) if depth else 1
    pixel = blocks * vectors * lanes * shape.itemsize
    # Rows that have not begun or have ended are computed too, and thrown away; a square is read back when transposing.
    margin = ((rows - 1) * lag + int(np.abs(on).max(initial=0)) + lanes) * pixel
    line = 2 * margin + shape.width * pixel
    buffer_rows = depth + rows * (1 + -(-2 * depth // rows))
    outputs = vectors * lanes

    words = (
        shape.batch, shape.groups, shape.channels, shape.height, shape.width,
        int(shape.rows_flipped), int(shape.columns_flipped),
        lag, depth, buffer_rows, line, margin, len(taps), address(table),
    )  # fmt: skip
    return PreparedKernel(
        kernel=_kernel((F32 if shape.itemsize == 4 else F64) + lanes, vectors, rows),
        words=words,
        tables=(table,),
        pack=tap_packer(shape, taps, shape.channels, outputs),
        tasks=shape.batch * shape.groups,
        scratch_bytes=rows * pixel + buffer_rows * line,
    )
