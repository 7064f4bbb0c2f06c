"""Batch in the lanes: as many images side by side as a register holds, one image per lane.

Every tap is then one full-width multiply-add with a broadcast weight, a block of output channels shares each load of
the input, and the recurrence costs nothing: the lanes never depend on each other. The working rows live in a ring of
`kh` rows, channels innermost, that stays in the cache; images are transposed between NCHW and lanes in registers.

Flipped corners are walked backwards: rows and columns keep their places in memory, steps and offsets change sign.
Taps outside the image are left out, not multiplied by zeros.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .cache import cached_cfunc
from .masked import transpose_in, transpose_out
from .memory_intrinsics import atomic_next, prefetch, read_word, read_words, write_word
from .prepared import PreparedKernel, SolveShape, accumulators, address
from .tables import causal_taps, tap_packer
from .vector import F32, F64, fma_grid, load, store, zeros

__all__ = ["prepare"]


@lru_cache
def _kernel(kind: int, outputs: int):
    """The kernel for registers of `kind` and blocks of `outputs` output channels.

    Its words, behind the header: addresses of the observation and the solution (contiguous NCHW); batch, groups,
    channels per group, height, width; whether rows and columns are flipped (0 or 1); number of runs, address of their
    (rows back, column of the first tap relative to the pixel, taps): a run is what a kernel row reads, adjacent in the
    ring; rows of the ring; bytes per group of the table that follows; addresses of the negated taps, ordered by group,
    block of outputs, run, tap, input, output, and of the inverse anchor, ordered by group, block, input, output, or 0
    for the identity; address of the working memory, its bytes per thread.
    """
    lanes = kind % 1000
    itemsize = 8 if kind >= F64 else 4
    bytes_ = lanes * itemsize

    @cached_cfunc
    def kernel(table):
        (
            y, x, batch, groups, channels, height, width, rows_flipped, columns_flipped, runs, run_table, ring_rows,
            group_weights, weights, inverse, scratch, scratch_bytes,
        ) = read_words(table + 24, 17)  # fmt: skip
        blocks = (channels + outputs - 1) // outputs
        inputs = blocks * outputs  # the channels of a pixel in the ring, with padding
        pixel = inputs * bytes_
        tap = inputs * outputs * itemsize
        ring_row = width * pixel
        group_inverse = blocks * channels * outputs * itemsize
        plane = height * width * itemsize
        image = groups * channels * plane

        # A thread's memory: where the runs of the row begin, the right-hand side of a pixel, the ring.
        run_rows = scratch + atomic_next(table + 8) * scratch_bytes
        rest = run_rows + (8 * runs + 63) // 64 * 64
        ring = rest + pixel
        for place in range(ring, ring + ring_rows * ring_row, bytes_):
            store(zeros(kind, 1), place, 0)  # the padding channels must be finite

        task = atomic_next(table)
        while task < read_word(table + 16):
            group = task % groups
            first = task // groups * lanes
            images = min(lanes, batch - first)
            offset = first * image + group * channels * plane

            for i in range(height):
                memory_row = height - 1 - i if rows_flipped else i
                row_offset = offset + memory_row * width * itemsize
                following = 0 if i + 1 == height else (-1 if rows_flipped else 1) * width * itemsize
                current = ring + (i % ring_rows) * ring_row

                for channel in range(channels):
                    source = y + row_offset + channel * plane
                    target = x + row_offset + channel * plane
                    for j in range(0, width, lanes):
                        transpose_in(
                            kind, source + j * itemsize, image, images, min(lanes, width - j),
                            current + j * pixel + channel * bytes_, pixel,
                        )  # fmt: skip
                    for lane in range(images):
                        for line in range(lane * image, lane * image + width * itemsize, 64):
                            prefetch(source + following + line, 0)
                            prefetch(target + line, 1)

                for r in range(runs):
                    back = read_word(run_table + 24 * r)
                    write_word(run_rows + 8 * r, ring + ((i - back) % ring_rows) * ring_row if back <= i else 0)

                for step in range(width):
                    j = width - 1 - step if columns_flipped else step
                    column = j * pixel
                    weight = weights + group * group_weights
                    for block in range(blocks):
                        place = column + block * outputs * bytes_
                        values = load(kind, outputs, current + place, bytes_)
                        for r in range(runs):
                            _, shift, taps = read_words(run_table + 24 * r, 3)
                            row = read_word(run_rows + 8 * r)
                            if row:
                                left = max(0, -(j + shift))
                                right = min(taps, width - (j + shift))
                                seen = row + (j + shift + left) * pixel
                                used = weight + left * tap
                                for _ in range((right - left) * inputs):
                                    values = fma_grid(values, 1, seen, used, itemsize)
                                    seen += bytes_
                                    used += outputs * itemsize
                            weight += taps * tap
                        store(values, (rest - column if inverse else current) + place, bytes_)
                    if inverse:
                        weight = inverse + group * group_inverse
                        for block in range(blocks):
                            values = zeros(kind, outputs)
                            for channel in range(channels):
                                values = fma_grid(values, 1, rest + channel * bytes_, weight, itemsize)
                                weight += outputs * itemsize
                            store(values, current + column + block * outputs * bytes_, bytes_)

                for channel in range(channels):
                    target = x + row_offset + channel * plane
                    for j in range(0, width, lanes):
                        transpose_out(
                            kind, current + j * pixel + channel * bytes_, pixel, images, min(lanes, width - j),
                            target + j * itemsize, image,
                        )  # fmt: skip
            task = atomic_next(table)

    return kernel


def prepare(shape: SolveShape) -> PreparedKernel:
    """Lay the batch into the lanes."""
    blocks = -(-shape.channels // accumulators())
    outputs = -(-shape.channels // blocks)
    inputs = blocks * outputs
    pixel = inputs * shape.register_bytes

    taps = causal_taps(shape)
    shift = (taps[:, 1] - shape.anchor) * (-1 if shape.columns_flipped else 1)
    taps, shift = (values[np.lexsort((shift, taps[:, 0]))] for values in (taps, shift))
    rows = np.unique(taps[:, 0])
    runs = np.array(
        [(shape.kernel_height - 1 - a, shift[taps[:, 0] == a].min(), (taps[:, 0] == a).sum()) for a in rows],
        np.int64,
    )
    ring_rows = 1 + int(runs[:, 0].max()) if len(runs) else 1
    group_weights = blocks * len(taps) * inputs * outputs * shape.itemsize

    words = (
        shape.batch, shape.groups, shape.channels, shape.height, shape.width,
        int(shape.rows_flipped), int(shape.columns_flipped),
        len(runs), address(runs), ring_rows, group_weights,
    )  # fmt: skip
    return PreparedKernel(
        kernel=_kernel((F32 if shape.itemsize == 4 else F64) + shape.lanes, outputs),
        words=words,
        tables=(runs,),
        pack=tap_packer(shape, taps, inputs, outputs),
        tasks=-(-shape.batch // shape.lanes) * shape.groups,
        # Reading a square of vectors back may run over the end of the ring.
        scratch_bytes=8 * len(runs) + 64 + pixel * (1 + ring_rows * shape.width + shape.lanes),
    )
