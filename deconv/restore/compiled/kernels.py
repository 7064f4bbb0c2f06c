r"""The passes as C functions of a table of words, see `deconv.solvers.compiled.parallel`.

Responses z and scaled multipliers d of a term follow from what was shrunk, w, and the factor f that the shrinkage of
:math:`|w|` gave: :math:`z = f w` and :math:`d = (f - 1) w / g` with the growth g of the penalty. So w and f are kept,
and an iteration, with over-relaxation a,

.. math:: w \leftarrow a F x + ((1 - a) f + (1 - f) / g)\, w, \qquad z + d = (f + (f - 1) / g)\, w ,

reads and writes them once; what draws x towards z is computed as soon as three rows are there.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import carray, complex64, complex128, float32, float64, njit

from ...solvers.compiled.cache import cached_cfunc
from ...solvers.compiled.memory_intrinsics import atomic_next, pointer, read_word, read_words
from .rows import (
    add_mixed,
    add_second,
    adjoint_of_first,
    copied,
    divided,
    drawn_to,
    explain,
    explain_bounded,
    filled,
    hard_factors,
    mirror,
    power_factors,
    relax,
    relax_first,
    relax_mixed,
    relax_second,
    soft_factors,
    squares_of_three,
    squares_of_two,
    wrapped,
)

__all__ = ["BAND", "KINDS", "LEAST_POWER", "PIECE", "data_kernel", "spectrum_kernel", "terms_kernel", "work_rows"]

BAND = 64  # rows that a thread takes at a time
PIECE = 2**12  # values that it takes of what has no rows

CHUNK = 1024  # values of a row that are worked on together, for as long as they are in the nearest cache

# A frequency of which less is seen stays zero.
LEAST_POWER = 1e-12

KINDS = ("soft", "hard", "power")
_ROOT2 = math.sqrt(2)


def work_rows(components: int, terms: int) -> int:
    """Rows of its own, two pixels longer than the image's, that a thread needs for so many responses of so many terms:
    three of the image and of z + d, and one of w and f."""
    return 3 + 4 * components + terms


@njit(error_model="numpy")
def _shrink(squares, seen, kind, threshold, last, lookup, one, zero, tiny):
    """The factors of shrinkage in place of squared lengths, 1 where nothing is shrunk."""
    shrunk = squares[: max(min(seen, len(squares)), 0)]
    if kind == 0:
        soft_factors(shrunk, threshold, one, zero, tiny)
    elif kind == 1:
        hard_factors(shrunk, threshold, one, zero)
    else:
        power_factors(shrunk, threshold, last, lookup)
    filled(squares[len(shrunk) :], one)


@lru_cache
def terms_kernel(itemsize: int):
    """Words: addresses of image, of w and f of each term in turn, and of the sum to write; planes, height, width,
    height and width of what is seen; 1 where there are second differences, too; number of the shrinkage among `KINDS`;
    addresses of relaxation, and for each term 1 / growth and then for each plane threshold and next penalty; of the
    table of factors, and its length; of the first and last rows of w and f of each band as they were, and of where to
    write them; of each thread's rows.

    All that a number can say is said by one: the form for each dtype is compiled once for all methods.
    """
    scalar = float32 if itemsize == 4 else float64
    one, zero, root2 = scalar(1), scalar(0), scalar(_ROOT2)
    tiny = scalar(np.finfo(np.float32 if itemsize == 4 else np.float64).tiny)

    @cached_cfunc
    def kernel(table):
        (
            image, variables, total, planes, height, width, seen_height, seen_width,
            second_order, kind, numbers, factors, intervals, edges, edges_after, rows,
        ) = read_words(table + 24, 16)  # fmt: skip
        components = 2 + 3 * second_order
        count = components + 1 + second_order  # of w and f
        size = planes * height * width
        bands = (height + BAND - 1) // BAND
        x = carray(pointer(image, scalar), size)
        w = carray(pointer(variables, scalar), count * size)
        out = carray(pointer(total, scalar), size)
        settings = carray(pointer(numbers, scalar), 1 + (1 + second_order) * (1 + 2 * planes))
        lookup = carray(pointer(factors, scalar), intervals + 2)
        before = carray(pointer(edges, scalar), (planes * bands, 2, count, width))
        after = carray(pointer(edges_after, scalar), (planes * bands, 2, count, width))
        needed, long = 3 + 3 * components + count, width + 2
        own = carray(pointer(rows + atomic_next(table + 8) * needed * long * itemsize, scalar), (needed, long))
        lines, pulled, spare = own[:3], own[3 : 3 + 3 * components], own[3 + 3 * components :]
        relaxation, last = settings[0], scalar(intervals)
        second = 2 + 2 * planes  # where the settings of the second differences begin
        task = atomic_next(table)
        while task < read_word(table + 16):
            plane, band = task // bands, task % bands
            start = plane * height * width
            first, stop = band * BAND, min((band + 1) * BAND, height)
            for i in range(first - 2, first):
                p = start + (i + 2 * height) % height * width
                wrapped(lines[i - first + 2], x[p : p + width])
            for i in range(first - 1, stop + 1):
                turn = i - first + 1
                line, line_above, line_below = lines[(turn + 1) % 3], lines[turn % 3], lines[(turn + 2) % 3]
                p = start + (i + 1) % height * width
                wrapped(line_below, x[p : p + width])
                r = (i + height) % height
                q = start + r * width
                seen = seen_width if r < seen_height else 0
                slot = turn % 3 * components
                # The rows beside the band are another thread's, which has perhaps written them already.
                beside = i < first or i == stop
                if beside:
                    other = (band if band else bands) - 1 if i < first else (band + 1 if band + 1 < bands else 0)
                    for k in range(count):
                        copied(spare[k][:width], before[plane * bands + other, 1 if i < first else 0, k])
                for a in range(0, width, CHUNK):
                    b = min(a + CHUNK, width)
                    here, ahead = line[1 + a : 1 + b], line[2 + a : 2 + b]
                    above, below = line_above[1 + a : 1 + b], line_below[1 + a : 1 + b]
                    decay, threshold = settings[1], settings[2 + 2 * plane]
                    slope = one - relaxation - decay
                    v0 = spare[0][a:b] if beside else w[q + a : q + b]
                    v1 = spare[1][a:b] if beside else w[size + q + a : size + q + b]
                    f = spare[2][a:b] if beside else w[2 * size + q + a : 2 * size + q + b]
                    relax_first(v0, f, here, below, relaxation, slope, decay)
                    relax_first(v1, f, here, ahead, relaxation, slope, decay)
                    squares_of_two(f, v0, v1)
                    _shrink(f, seen - a, kind, threshold, last, lookup, one, zero, tiny)
                    drawn_to(pulled[slot][1 + a : 1 + b], v0, f, one + decay, -decay)
                    drawn_to(pulled[slot + 1][1 + a : 1 + b], v1, f, one + decay, -decay)
                    if second_order:
                        decay, threshold = settings[second], settings[second + 1 + 2 * plane]
                        slope = one - relaxation - decay
                        k = 3 * size + q
                        v0 = spare[3][a:b] if beside else w[k + a : k + b]
                        v1 = spare[4][a:b] if beside else w[size + k + a : size + k + b]
                        v2 = spare[5][a:b] if beside else w[2 * size + k + a : 2 * size + k + b]
                        f = spare[6][a:b] if beside else w[3 * size + k + a : 3 * size + k + b]
                        across = line_below[2 + a : 2 + b]
                        relax_second(v0, f, above, here, below, relaxation, slope, decay)
                        relax_mixed(v1, f, here, ahead, below, across, root2 * relaxation, slope, decay)
                        relax_second(v2, f, line[a:b], here, ahead, relaxation, slope, decay)
                        squares_of_three(f, v0, v1, v2)
                        _shrink(f, seen - a, kind, threshold, last, lookup, one, zero, tiny)
                        drawn_to(pulled[slot + 2][1 + a : 1 + b], v0, f, one + decay, -decay)
                        drawn_to(pulled[slot + 3][1 + a : 1 + b], v1, f, one + decay, -decay)
                        drawn_to(pulled[slot + 4][1 + a : 1 + b], v2, f, one + decay, -decay)
                for k in range(slot, slot + components):
                    pulled[k][0], pulled[k][width + 1] = pulled[k][width], pulled[k][1]
                if i == first or i == stop - 1:
                    for k in range(count):
                        p = k * size + q
                        if i == first:
                            copied(after[plane * bands + band, 0, k], w[p : p + width])
                        if i == stop - 1:
                            copied(after[plane * bands + band, 1, k], w[p : p + width])
                if i > first:
                    target = out[start + (i - 1) * width : start + i * width]
                    p, q, r = (turn + 1) % 3 * components, (turn + 2) % 3 * components, slot
                    along = pulled[q + 1]
                    adjoint_of_first(
                        target, pulled[p][1:-1], pulled[q][1:-1], along[:-2], along[1:-1], settings[3 + 2 * plane]
                    )
                    if second_order:
                        penalty = settings[second + 2 + 2 * plane]
                        p, q, r = p + 2, q + 2, r + 2
                        add_second(target, pulled[p][1:-1], pulled[q][1:-1], pulled[r][1:-1], penalty)
                        here, above = pulled[q + 1], pulled[p + 1]
                        add_mixed(target, here[1:-1], here[:-2], above[1:-1], above[:-2], root2 * penalty)
                        along = pulled[q + 2]
                        add_second(target, along[:-2], along[1:-1], along[2:], penalty)
            task = atomic_next(table)

    return kernel


@lru_cache
def data_kernel(itemsize: int):
    """Words: addresses of the blurred latent image, of u, and of u + multipliers; lines, values of each; addresses of
    the observation times W, of the shares, and of where these begin for each line; of relaxation and penalty; of the
    sides and limits of clipped pixels, 0 where none is.

    The third becomes what is drawn to, in place; the second the new u.
    """
    scalar = float32 if itemsize == 4 else float64

    @cached_cfunc
    def kernel(table):
        (
            seen_at,
            blurred_at,
            wanted_at,
            lines,
            size,
            observed_at,
            shares_at,
            begins_at,
            numbers,
            sides_at,
            limits_at,
        ) = read_words(table + 24, 11)
        seen = carray(pointer(seen_at, scalar), lines * size)
        blurred = carray(pointer(blurred_at, scalar), lines * size)
        wanted = carray(pointer(wanted_at, scalar), lines * size)
        observed = carray(pointer(observed_at, scalar), lines * size)
        settings = carray(pointer(numbers, scalar), 2)
        relaxation, penalty = settings[0], settings[1]
        pieces = (size + PIECE - 1) // PIECE
        task = atomic_next(table)
        while task < read_word(table + 16):
            line, piece = task // pieces, task % pieces
            first, stop = piece * PIECE, min((piece + 1) * PIECE, size)
            begin = read_word(begins_at + 8 * line)
            share = carray(pointer(shares_at + begin * itemsize, scalar), size)[first:stop]
            a, b = line * size + first, line * size + stop
            relax(wanted[a:b], blurred[a:b], seen[a:b], relaxation)
            if sides_at:
                side = carray(pointer(sides_at, scalar), lines * size)[a:b]
                limit = carray(pointer(limits_at, scalar), lines * size)[a:b]
                explain_bounded(blurred[a:b], wanted[a:b], observed[a:b], share, penalty, side, limit)
            else:
                explain(blurred[a:b], wanted[a:b], observed[a:b], share, penalty)
            mirror(wanted[a:b], blurred[a:b])
            task = atomic_next(table)

    return kernel


@lru_cache
def spectrum_kernel(itemsize: int):
    """Words: addresses of the spectrum of u + multipliers, of that of what else draws x, of transfer functions and
    where these begin for each line, of their power and where this begins, of the power of the penalty and where this
    begins; lines, frequencies of each; address of the penalty.

    The first becomes the spectrum of x, in place.
    """
    scalar, number = (float32, complex64) if itemsize == 4 else (float64, complex128)
    one, zero, least = scalar(1), scalar(0), scalar(LEAST_POWER)

    @cached_cfunc
    def kernel(table):
        (
            spectrum_at, pull_at, otf_at, otf_begins, power_at, power_begins, penalty_at, penalty_begins,
            lines, size, settings_at,
        ) = read_words(table + 24, 11)  # fmt: skip
        spectrum = carray(pointer(spectrum_at, number), lines * size)
        pull = carray(pointer(pull_at, number), lines * size)
        penalty = carray(pointer(settings_at, scalar), 1)[0]
        pieces = (size + PIECE - 1) // PIECE
        task = atomic_next(table)
        while task < read_word(table + 16):
            line, piece = task // pieces, task % pieces
            first, stop = piece * PIECE, min((piece + 1) * PIECE, size)
            a, b = line * size + first, line * size + stop
            begin = read_word(otf_begins + 8 * line)
            otf = carray(pointer(otf_at + 2 * begin * itemsize, number), size)[first:stop]
            begin = read_word(power_begins + 8 * line)
            power = carray(pointer(power_at + begin * itemsize, scalar), size)[first:stop]
            begin = read_word(penalty_begins + 8 * line)
            smoothing = carray(pointer(penalty_at + begin * itemsize, scalar), size)[first:stop]
            divided(spectrum[a:b], pull[a:b], otf, power, smoothing, penalty, one, zero, least)
            task = atomic_next(table)

    return kernel
