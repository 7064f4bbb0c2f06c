"""The passes as C functions of a table of words, see `deconv.solvers.compiled.parallel`."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import carray, float32, float64

from ...solvers.compiled.cache import cached_cfunc
from ...solvers.compiled.memory_intrinsics import atomic_next, pointer, read_word, read_words
from .rows import (
    add,
    add_squares,
    ahead,
    behind,
    difference,
    hard_factors,
    power_factors,
    second,
    second_across,
    shrink,
    soft_factors,
    summed,
    wanted,
)

__all__ = ["BAND", "adjoint_kernel", "shrink_kernel"]

BAND = 32  # rows that a thread takes at a time
_ROOT2 = math.sqrt(2)


@lru_cache
def shrink_kernel(itemsize: int, order: int, kind: str):
    """Words: addresses of image, responses, multipliers; planes, height, width, height and width of what is seen;
    addresses of relaxation, 1 / growth, and then the threshold of each plane, and of the table of factors; its length;
    address of five rows for each thread.
    """
    scalar = float32 if itemsize == 4 else float64
    hessian, soft, hard = order == 2, kind == "soft", kind == "hard"
    components = 3 if hessian else 2
    one, zero, root2 = scalar(1), scalar(0), scalar(_ROOT2)
    tiny = scalar(np.finfo(np.float32 if itemsize == 4 else np.float64).tiny)

    @cached_cfunc
    def kernel(table):
        (
            image, responses, duals, planes, height, width, seen_height, seen_width, numbers, factors, intervals, rows
        ) = read_words(table + 24, 12)  # fmt: skip
        size = planes * height * width
        x = carray(pointer(image, scalar), size)
        z = carray(pointer(responses, scalar), components * size)
        d = carray(pointer(duals, scalar), components * size)
        settings = carray(pointer(numbers, scalar), 2 + planes)
        lookup = carray(pointer(factors, scalar), intervals + 2)
        own = carray(pointer(rows + atomic_next(table + 8) * 5 * width * itemsize, scalar), (5, width))
        squares, spare = own[3], own[4]
        bands = (height + BAND - 1) // BAND
        task = atomic_next(table)
        while task < read_word(table + 16):
            plane, band = task // bands, task % bands
            start = plane * height * width
            threshold = settings[2 + plane]
            for i in range(band * BAND, min((band + 1) * BAND, height)):
                above = start + (i - 1 if i else height - 1) * width
                here = start + i * width
                below = start + (i + 1 if i + 1 < height else 0) * width
                row, after = x[here : here + width], x[below : below + width]
                if hessian:
                    second(own[0], x[above : above + width], row, after)
                    difference(spare, after, row)
                    ahead(own[1], spare, root2)
                    second_across(own[2], row)
                else:
                    difference(own[0], after, row)
                    ahead(own[1], row, one)
                squares[:] = zero
                for k in range(components):
                    p = k * size + here
                    wanted(own[k], z[p : p + width], d[p : p + width], settings[0])
                    add_squares(squares, own[k])
                shrunk = seen_width if i < seen_height else 0
                if hard:
                    hard_factors(squares[:shrunk], threshold, one, zero)
                elif soft:
                    soft_factors(squares[:shrunk], threshold, one, zero, tiny)
                else:
                    power_factors(squares[:shrunk], threshold, scalar(intervals), lookup)
                squares[shrunk:] = one
                for k in range(components):
                    p = k * size + here
                    shrink(z[p : p + width], d[p : p + width], own[k], squares, settings[1])
            task = atomic_next(table)

    return kernel


@lru_cache
def adjoint_kernel(itemsize: int, order: int):
    """Words: addresses of the sum, responses, multipliers; planes, height, width; addresses of the planes' penalties,
    and of five rows for each thread."""
    scalar = float32 if itemsize == 4 else float64
    hessian = order == 2
    components = 3 if hessian else 2
    one, root2 = scalar(1), scalar(_ROOT2)

    @cached_cfunc
    def kernel(table):
        total, responses, duals, planes, height, width, numbers, rows = read_words(table + 24, 8)
        size = planes * height * width
        out = carray(pointer(total, scalar), size)
        z = carray(pointer(responses, scalar), components * size)
        d = carray(pointer(duals, scalar), components * size)
        penalties = carray(pointer(numbers, scalar), planes)
        own = carray(pointer(rows + atomic_next(table + 8) * 5 * width * itemsize, scalar), (5, width))
        bands = (height + BAND - 1) // BAND
        task = atomic_next(table)
        while task < read_word(table + 16):
            plane, band = task // bands, task % bands
            start = plane * height * width
            penalty = penalties[plane]
            for i in range(band * BAND, min((band + 1) * BAND, height)):
                above = start + (i - 1 if i else height - 1) * width
                here = start + i * width
                below = start + (i + 1 if i + 1 < height else 0) * width
                target = out[here : here + width]
                if hessian:
                    summed(own[0], z[above : above + width], d[above : above + width])
                    summed(own[1], z[here : here + width], d[here : here + width])
                    summed(own[2], z[below : below + width], d[below : below + width])
                    second(own[3], own[0], own[1], own[2])
                    add(target, penalty, own[3])
                    p, q = size + above, size + here
                    summed(own[0], z[p : p + width], d[p : p + width])
                    summed(own[1], z[q : q + width], d[q : q + width])
                    difference(own[2], own[1], own[0])
                    behind(own[3], own[2], root2)
                    add(target, -penalty, own[3])
                    p = 2 * size + here
                    summed(own[0], z[p : p + width], d[p : p + width])
                    second_across(own[3], own[0])
                    add(target, penalty, own[3])
                else:
                    summed(own[0], z[above : above + width], d[above : above + width])
                    summed(own[1], z[here : here + width], d[here : here + width])
                    difference(own[2], own[0], own[1])
                    add(target, penalty, own[2])
                    p = size + here
                    summed(own[0], z[p : p + width], d[p : p + width])
                    behind(own[3], own[0], one)
                    add(target, penalty, own[3])
            task = atomic_next(table)

    return kernel
