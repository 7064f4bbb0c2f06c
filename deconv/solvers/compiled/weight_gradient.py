"""The weight gradient of a causal convolution: registers of pixels times registers of pixels.

``dW[o, i, a, b] = sum over p of v[o, p] x[i, p + (a, b)]`` with zeros around `x`. A *chunk* of pixels, small images
side by side or a band of a large one, is copied so that each channel becomes one long line, with the zeros that the
kernel sees beside an image between the images and behind the rows. A tap is then one offset, whatever the row. Lines of
`v` meet lines of `x`, a few of each at a time, whose products are summed in registers from the beginning of the chunk
to its end: several outputs and several inputs under one tap, or for a few channels several columns and several rows of
the kernel for one output and one input, whichever costs less. What a task is, and the order of its sums, depend on
shapes alone, so that the result is the same for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .cache import cached_cfunc
from .masked import load_pixels
from .memory_intrinsics import atomic_next, read_word, read_words
from .parallel import run
from .prepared import accumulators, address, register_bytes
from .vector import F32, F64, add_lanes, fma_outer, store, zeros

__all__ = ["is_faster", "weight_gradient"]

_NEAR_BYTES = 24 << 10  # that lines which meet may take of the nearest cache
_TASK = 2048  # pixels of a task, about
_STOCK_CHANNELS = 16  # torch's own computes whole blocks of so many,
_STOCK_COST = 1.15  # in so much of the time that the multiply-adds take


@lru_cache
def _kernel(kind: int, rows: int, columns: int):
    """The kernel that multiplies `rows` lines of v by `columns` lines of x at a time.

    Its words, behind the header: addresses of v and x (contiguous NCHW) and of the sums (task, group, product, row,
    column), which are zero; batch, groups, channels per group, height, width; images and rows of a chunk, chunks of a
    task, bands of an image; elements from one image to the next in a line; rows of the kernel, zeros on top of x; bytes
    of a line of v and of x, bytes in front of their pixels; bytes from one of the `rows` lines to the next, and from
    one of the `columns`; elements that lines of v are shifted by, at most; number of products, address of their
    (offset into the lines of v, into those of x); address of the working memory, its bytes per thread, those of the
    lines of v.
    """
    lanes = kind % 1000
    itemsize = 8 if kind >= F64 else 4
    bytes_ = lanes * itemsize
    grid = rows * columns

    @cached_cfunc
    def kernel(table):
        (
            v, x, sums, batch, groups, channels, height, width, images, band_rows, chunks, bands, step,
            kernel_rows, top, v_line, x_line, v_first, x_first, row_stride, column_stride, shift, products, offsets,
            scratch, scratch_bytes, v_bytes,
        ) = read_words(table + 24, 27)  # fmt: skip
        every = -(-batch // images) * bands  # chunk

        v_lines = scratch + atomic_next(table + 8) * scratch_bytes
        x_lines = v_lines + v_bytes
        for place in range(v_lines, v_lines + scratch_bytes, bytes_):
            store(zeros(kind, 1), place, 0)  # what lies between the images stays so

        task = atomic_next(table)
        while task < read_word(table + 16):
            group = task % groups
            for chunk in range(task // groups * chunks, min(every, (task // groups + 1) * chunks)):
                first_image = chunk // bands * images
                first_row = chunk % bands * band_rows
                band = min(band_rows, height - first_row)
                length = (band * images * step + shift) * itemsize

                for of_x in range(2):
                    source = x if of_x else v
                    first = first_row - top if of_x else first_row
                    rows_kept = band + kernel_rows - 1 if of_x else band
                    for channel in range(channels):
                        line = x_lines + channel * x_line if of_x else v_lines + channel * v_line
                        target = line + (x_first if of_x else v_first)
                        for row in range(first, first + rows_kept):
                            inside = min(max(row, 0), height - 1)
                            for image in range(first_image, first_image + images):
                                exists = row == inside and image < batch
                                plane = (min(image, batch - 1) * groups + group) * channels + channel
                                pixels = source + (plane * height + inside) * width * itemsize
                                for j in range(0, width, lanes):
                                    count = min(lanes, width - j) if exists else 0
                                    place = target + j * itemsize
                                    store(load_pixels(kind, pixels + j * itemsize, 0, count), place, 0)
                                target += step * itemsize
                        if not of_x:  # a shorter band leaves pixels of the one before behind itself
                            for place in range(target, line + v_first + length + bytes_, bytes_):
                                store(zeros(kind, 1), place, 0)

                sum_ = sums + task * products * grid * itemsize
                for k in range(products):
                    offset, other = read_words(offsets + 16 * k, 2)
                    left, right = v_lines + offset, x_lines + other
                    values = zeros(kind, grid)
                    for _ in range(0, length, bytes_):
                        values = fma_outer(values, rows, left, row_stride, right, column_stride)
                        left += bytes_
                        right += bytes_
                    add_lanes(values, sum_, itemsize)
                    sum_ += grid * itemsize
            task = atomic_next(table)

    return kernel


@dataclass(frozen=True)
class _Meeting:
    """Which lines meet: `rows` of v and `columns` of x at a time.

    They are outputs and inputs under one tap (`by_channel`), or columns and rows of the kernel for one output and one
    input.
    """

    by_channel: bool
    rows: int
    columns: int

    @classmethod
    @lru_cache(maxsize=256)
    def cheapest(cls, channels: int, kernel_height: int, kernel_width: int) -> _Meeting:
        """By the multiply-adds of a step, or its loads where they take longer: one across two cache lines is two."""

        def options(by_channel: bool, left: int, right: int, times: int, loads_of_v: int):
            for m, n in product(range(1, left + 1), range(1, right + 1)):
                if m * n <= accumulators() and m * n + m < accumulators() * 4 // 3:  # the registers that there are
                    blocks = -(-left // m) * -(-right // n)
                    step = max(m * n, loads_of_v * m + 2 * n) + 2
                    yield times * blocks * step, m + n, cls(by_channel, m, n)

        by_channel = options(True, channels, channels, kernel_height * kernel_width, 1)
        by_tap = options(False, kernel_width, kernel_height, channels**2, 2)
        return min((*by_channel, *by_tap), key=lambda option: option[:2])[2]


def is_faster(shape: torch.Size, groups: int, kernel_size: tuple[int, int]) -> bool:
    """Whether `weight_gradient` is expected to take less time than torch's own, which pads channels, not rows."""
    channels, width, (kh, kw) = shape[1] // groups, shape[3], kernel_size
    meeting = _Meeting.cheapest(channels, kh, kw)
    if not meeting.by_channel:
        return True
    pairs = _padded(channels, meeting.rows) * _padded(channels, meeting.columns)
    return pairs * (width + kw - 1) / width < _STOCK_COST * _padded(channels, _STOCK_CHANNELS) ** 2


def _padded(size: int, block: int) -> int:
    return -(-size // block) * block


@dataclass(frozen=True)
class _Plan:
    """What depends on shapes alone.

    Attributes
    ----------
    kernel : numba cfunc
        See `parallel.run`.
    words : tuple of int
        Those of the kernel between the addresses of the tensors and that of the offsets.
    offsets : ndarray
        Of each product.
    sums : tuple of int
        Shape: tasks of a group, groups, sums of a task.
    places : Tensor
        Where among the sums of a task the entries of the gradient are.
    scratch_bytes, v_bytes : int
        Working memory of a thread, and the lines of v in it.
    """

    kernel: Any
    words: tuple[int, ...]
    offsets: np.ndarray
    sums: tuple[int, int, int]
    places: Tensor
    scratch_bytes: int
    v_bytes: int


@lru_cache(maxsize=256)
def _plan(shape: torch.Size, groups: int, kernel_size: tuple[int, int], left: int, top: int, itemsize: int) -> _Plan:
    (batch, channels, height, width), (kh, kw) = shape, kernel_size
    n, lanes = channels // groups, register_bytes() // itemsize
    meeting = _Meeting.cheapest(n, kh, kw)
    rows, columns = meeting.rows, meeting.columns

    # A chunk is some whole images, or a band of one that is no lower than what its pixels see above them.
    step = width + kw - 1
    fitting = _NEAR_BYTES // itemsize // (rows + columns if meeting.by_channel else 1)
    images = min(batch, max(1, fitting // (height * step)))
    band_rows = height if images > 1 else min(height, max(fitting // step, kh))
    bands = -(-height // band_rows)
    band_rows = -(-height // bands)
    every = -(-batch // images) * bands
    chunks = max(1, min(every, _TASK // (images * band_rows * width)))

    pitch, shift = images * step, 0 if meeting.by_channel else _padded(kw, rows) - 1
    v_lines, x_lines = (_padded(n, rows), _padded(n, columns)) if meeting.by_channel else (n, n)
    x_rows = band_rows + (kh if meeting.by_channel else _padded(kh, columns)) - 1
    v_line, x_line = (
        _padded(elements + 2 * lanes, lanes)  # the last registers of a line read, and those of a row write, beyond it
        for elements in (band_rows * pitch + 2 * shift, x_rows * pitch + shift + kw)
    )

    # Of each entry of the gradient: where its lines begin, whether they are the first of a product, which one that is.
    output, input_, a, b = np.indices((n, n, kh, kw))
    at_v = output * v_line + (0 if meeting.by_channel else shift - b)
    at_x = input_ * x_line + a * pitch + (b if meeting.by_channel else 0)
    row, column = (output % rows, input_ % columns) if meeting.by_channel else (b % rows, a % columns)
    first = (row == 0) & (column == 0)
    offsets = np.stack([at_v, at_x], axis=-1)[first] * itemsize
    number = first.cumsum().reshape(first.shape) - 1
    first_of = (output - row, input_ - column, a, b) if meeting.by_channel else (output, input_, a - column, b - row)
    places = (number[first_of] * rows + row) * columns + column

    words = (
        batch, groups, n, height, width, images, band_rows, chunks, bands, step, kh, top,
        v_line * itemsize, x_line * itemsize, shift * itemsize, left * itemsize,
        *((v_line * itemsize, x_line * itemsize) if meeting.by_channel else (-itemsize, pitch * itemsize)),
        shift, len(offsets),
    )  # fmt: skip
    return _Plan(
        kernel=_kernel((F32 if itemsize == 4 else F64) + lanes, rows, columns),
        words=words,
        offsets=np.ascontiguousarray(offsets, np.int64),
        sums=(-(-every // chunks), groups, len(offsets) * rows * columns),
        places=torch.from_numpy(places.ravel()),
        scratch_bytes=(v_lines * v_line + x_lines * x_line) * itemsize,
        v_bytes=v_lines * v_line * itemsize,
    )


def weight_gradient(
    x: Tensor, v: Tensor, kernel_size: tuple[int, int], padding: tuple[int, int, int, int], groups: int
) -> Tensor:
    """Gradient `(C, C / groups, kh, kw)` of ``<v, conv2d(pad(x, padding), weight)>``; see `deconv.solvers`."""
    x, v = x.contiguous(), v.contiguous()
    left, _, top, _ = padding
    plan = _plan(v.shape, groups, tuple(kernel_size), left, top, v.element_size())
    sums = torch.zeros(plan.sums, dtype=v.dtype)
    tasks = sums.shape[0] * groups
    threads = max(1, min(torch.get_num_threads(), tasks))
    scratch = np.empty(threads * plan.scratch_bytes + 64, np.uint8)
    aligned = -(-address(scratch) // 64) * 64
    tensors = v.data_ptr(), x.data_ptr(), sums.data_ptr()
    memory = address(plan.offsets), aligned, plan.scratch_bytes, plan.v_bytes
    run(plan.kernel, (*tensors, *plan.words, *memory), tasks, threads)
    gradient = sums.sum(0, dtype=torch.float64).index_select(1, plan.places)
    return gradient.view(v.shape[1], -1, *kernel_size).to(v.dtype)
