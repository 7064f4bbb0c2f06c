"""The weight gradient of a causal convolution for few channels, where the stock one leaves most lanes idle.

``dW[o, i, a, b] = sum over p of v[o, p] x[i, p + (a, b)]`` with zeros around `x`. Pixels of a row lie in the lanes.
One row of `x`, shifted, meets the rows of `v` above it: a few shifts times a few rows share their loads and are summed
in registers. Images and bands of rows are independent tasks; how they are cut depends on shapes alone, so that the
sums are the same for any number of threads.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .cache import cached_cfunc
from .masked import load_pixels
from .memory_intrinsics import atomic_next, read_word, read_words
from .parallel import run
from .prepared import accumulators, address, register_bytes
from .vector import F32, F64, fma_outer, load, store, zeros

__all__ = ["weight_gradient"]

_BAND = 64  # rows of a task


@lru_cache
def _kernel(kind: int, rows: int, shifts: int):
    """The kernel that sums over `rows` kernel rows and `shifts` kernel columns at a time.

    Its words, behind the header: addresses of v and x (contiguous NCHW) and of the sums (task,
    output, input, kernel row, kernel column, lane), kernel rows and columns padded to whole blocks; batch, groups,
    channels per group, height, width, zeros left and on top of x; kernel rows, blocks of rows, blocks of columns;
    images and bands of a task; bytes of a line, address of the working memory, its bytes per thread.
    """
    lanes = kind % 1000
    itemsize = 8 if kind >= F64 else 4
    bytes_ = lanes * itemsize
    grid = rows * shifts

    @cached_cfunc
    def kernel(table):
        (
            v, x, sums, batch, groups, channels, height, width, left, top, kernel_rows, row_blocks,
            shift_blocks, images, bands, line, scratch, scratch_bytes,
        ) = read_words(table + 24, 18)  # fmt: skip
        padding = row_blocks * rows  # rows of zeros above and below a band
        image_rows = min(_BAND, height) + 2 * padding
        sums_bytes = channels * channels * row_blocks * shift_blocks * grid * bytes_

        memory = scratch + atomic_next(table + 8) * scratch_bytes
        kept = memory + channels * line  # the band of v; one row of x lies before it

        task = atomic_next(table)
        while task < read_word(table + 16):
            first = task % bands * _BAND
            band = min(_BAND, height - first)
            group = task // bands % groups
            block = task // bands // groups
            for place in range(memory, kept + channels * image_rows * line, bytes_):
                store(zeros(kind, 1), place, 0)
            for place in range(sums + task * sums_bytes, sums + (task + 1) * sums_bytes, bytes_):
                store(zeros(kind, 1), place, 0)

            for image in range(block * images, min(batch, (block + 1) * images)):
                plane = (image * groups + group) * channels
                for channel in range(channels):
                    for i in range(band):
                        source = v + ((plane + channel) * height + first + i) * width * itemsize
                        target = kept + (channel * image_rows + padding + i) * line
                        for place in range(0, width * itemsize, bytes_):
                            pixels = load_pixels(kind, source + place, 0, min(lanes, width - place // itemsize))
                            store(pixels, target + place, 0)

                for i in range(band + kernel_rows - 1):
                    for channel in range(channels):
                        row = first + i - top
                        inside = min(max(row, 0), height - 1)
                        source = x + ((plane + channel) * height + inside) * width * itemsize
                        target = memory + channel * line + left * itemsize
                        for place in range(0, width * itemsize, bytes_):
                            count = min(lanes, width - place // itemsize) if row == inside else 0
                            store(load_pixels(kind, source + place, 0, count), target + place, 0)
                    sum_ = sums + task * sums_bytes
                    for output in range(channels):
                        # Kernel row a pairs this row of x with row i - a of the band.
                        seen = kept + (output * image_rows + padding + i) * line
                        for channel in range(channels):
                            for row_block in range(row_blocks):
                                for shift_block in range(shift_blocks):
                                    values = load(kind, grid, sum_, bytes_)
                                    above = seen - row_block * rows * line
                                    shifted = memory + channel * line + shift_block * shifts * itemsize
                                    for _ in range(0, width, lanes):
                                        values = fma_outer(values, rows, above, -line, shifted, itemsize)
                                        above += bytes_
                                        shifted += bytes_
                                    store(values, sum_, bytes_)
                                    sum_ += grid * bytes_
            task = atomic_next(table)

    return kernel


def _split(size: int, most: int) -> tuple[int, int]:
    """Blocks and their length, at most `most`, that cover `size` with the least left over."""
    blocks = -(-size // most)
    return blocks, -(-size // blocks)


def weight_gradient(
    x: Tensor, v: Tensor, kernel_size: tuple[int, int], padding: tuple[int, int, int, int], groups: int
) -> Tensor:
    """Gradient `(C, C / groups, kh, kw)` of ``<v, conv2d(pad(x, padding), weight)>``; see `deconv.solvers`."""
    x, v = x.contiguous(), v.contiguous()
    batch, channels, height, width = v.shape
    n, (kh, kw) = channels // groups, kernel_size
    left, _, top, _ = padding
    itemsize, vector = v.element_size(), register_bytes()
    lanes = vector // itemsize
    row_blocks, rows = _split(kh, 5 if accumulators() > 12 else 4)
    shift_blocks, shifts = _split(kw, 4 if accumulators() > 12 else 3)
    # Small images share a task, and large ones are cut.
    images = min(batch, max(1, 2048 // (height * width)))
    image_blocks, bands = -(-batch // images), -(-height // _BAND)
    tasks = image_blocks * groups * bands

    line = (-(-(width + left + shift_blocks * shifts) // lanes) + 1) * vector
    scratch_bytes = n * (1 + min(_BAND, height) + 2 * row_blocks * rows) * line
    threads = max(1, min(torch.get_num_threads(), tasks))
    scratch = np.empty(threads * scratch_bytes + 64, np.uint8)
    aligned = -(-address(scratch) // 64) * 64
    sums = torch.empty(image_blocks, groups, bands, n, n, row_blocks, shift_blocks, rows, shifts, lanes, dtype=v.dtype)
    words = (
        v.data_ptr(), x.data_ptr(), sums.data_ptr(), batch, groups, n, height, width, left, top, kh, row_blocks,
        shift_blocks, images, bands, line, aligned, scratch_bytes,
    )  # fmt: skip
    run(_kernel((F32 if itemsize == 4 else F64) + lanes, rows, shifts), words, tasks, threads)
    gradient = sums.sum(-1).sum((0, 2), dtype=torch.float64).transpose(-3, -2)
    gradient = gradient.reshape(channels, n, row_blocks * rows, shift_blocks * shifts)
    return gradient[:, :, :kh, :kw].to(v.dtype)
