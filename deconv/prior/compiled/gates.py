"""What the outputs of a step's network do: linear features weighted by them, summed."""

from __future__ import annotations

from functools import lru_cache

from numba import carray, float32, float64

from ...solvers.compiled.cache import cached_cfunc
from ...solvers.compiled.memory_intrinsics import atomic_next, pointer, read_word, read_words

__all__ = ["adjoint_gate_kernel", "gate_kernel"]


@lru_cache
def gate_kernel(itemsize: int):
    """Shifts, and the scales before any function, of the pixels of images.

    Its words, behind the header: addresses of the outputs and of the linear features, channels innermost, with a margin
    of two pixels; their channels; rows and columns with the margin; addresses of the shifts and the scales to write,
    `(B, changed, height, width)`; height, width, changed, gates. A task is a row.
    """
    scalar = float32 if itemsize == 4 else float64

    @cached_cfunc
    def kernel(table):
        (
            outputs, features, channels, linear, rows, columns, shifts, scales, height, width, changed, gates,
        ) = read_words(table + 24, 12)  # fmt: skip
        task = atomic_next(table)
        while task < read_word(table + 16):
            image, row = task // height, task % height
            begin = ((image * rows + row + 2) * columns + 2) * itemsize
            output = carray(pointer(outputs + begin * channels, scalar), (width, channels))
            feature = carray(pointer(features + begin * linear, scalar), (width, linear))
            for c in range(changed):
                line = ((image * changed + c) * height + row) * width * itemsize
                shift = carray(pointer(shifts + line, scalar), (width,))
                scale = carray(pointer(scales + line, scalar), (width,))
                first = changed + c * gates
                for j in range(width):
                    total = scalar(0)
                    for g in range(gates):
                        total += output[j, first + g] * feature[j, g]
                    shift[j] = total
                    scale[j] = output[j, c]
            task = atomic_next(table)

    return kernel


@lru_cache
def adjoint_gate_kernel(itemsize: int):
    """From gradients of shifts and scales to those of the outputs and the linear features, both as `gate_kernel` reads
    them.

    Its words, behind the header: as for `gate_kernel`, the gradients of shifts and scales in place of these, and the
    addresses of the gradients to write.
    """
    scalar = float32 if itemsize == 4 else float64

    @cached_cfunc
    def kernel(table):
        (
            outputs, features, channels, linear, rows, columns, shifts, scales, height, width, changed, gates,
            of_outputs, of_features,
        ) = read_words(table + 24, 14)  # fmt: skip
        task = atomic_next(table)
        while task < read_word(table + 16):
            image, row = task // height, task % height
            begin = ((image * rows + row + 2) * columns + 2) * itemsize
            output = carray(pointer(outputs + begin * channels, scalar), (width, channels))
            feature = carray(pointer(features + begin * linear, scalar), (width, linear))
            to_output = carray(pointer(of_outputs + begin * channels, scalar), (width, channels))
            to_feature = carray(pointer(of_features + begin * linear, scalar), (width, linear))
            plane = height * width * itemsize
            lines = (image * changed * height + row) * width * itemsize
            for j in range(width):
                for g in range(linear):
                    to_feature[j, g] = scalar(0)
                for k in range(changed * (1 + gates), channels):
                    to_output[j, k] = scalar(0)
                for c in range(changed):
                    shift = carray(pointer(shifts + lines + c * plane, scalar), (width,))[j]
                    to_output[j, c] = carray(pointer(scales + lines + c * plane, scalar), (width,))[j]
                    first = changed + c * gates
                    for g in range(gates):
                        to_output[j, first + g] = shift * feature[j, g]
                        to_feature[j, g] += shift * output[j, first + g]
            task = atomic_next(table)

    return kernel
