"""The first layer of a step's network and its adjoint: from a few planes to many channels, and back."""

from __future__ import annotations

from functools import lru_cache

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from torch import Tensor

from ...solvers.compiled.cache import cached_cfunc
from ...solvers.compiled.memory_intrinsics import atomic_next, read_word, read_words
from ...solvers.compiled.vector import (
    F64,
    INT64,
    are_literals,
    at_address,
    fma_grid,
    fma_outer,
    steps_of,
    zeros,
)
from .expressions import Expression, logarithm

__all__ = ["PLANES", "adjoint_filters", "adjoint_kernel", "feature_filters", "feature_kernel"]

PLANES = 3  # at most: two details and the low band

_TOGETHER = 4  # pixels of a row of which features are computed at once, and
_ADJOINT = 2  # of which the adjoint is


def feature_filters(weight: Tensor) -> Tensor:
    """Filters `(out, PLANES, 3, 3)` as `feature_kernel` reads them, `(3, 3, PLANES, out)`."""
    return weight.permute(2, 3, 1, 0).contiguous()


def adjoint_filters(weight: Tensor, lanes: int) -> Tensor:
    """Filters `(out, PLANES, 3, 3)` as `adjoint_kernel` reads them, `(3, 3, out / lanes, PLANES, lanes)`."""
    return weight.unflatten(0, (-1, lanes)).permute(3, 4, 0, 2, 1).contiguous()


@intrinsic(prefer_literal=True)
def _features_out(typingctx, values, energies, target, derivative, pixel, bias, linear, linear_pixel):
    """Of the sums `values[v, s]` of pixel s, those of the first `energies` registers become log(1 + e^2) + bias, with
    its derivative, and the rest are written as they are."""
    if not are_literals(energies):
        return None
    kind, count = values.dtype, energies.literal_value

    def codegen(context, builder, signature, arguments):
        items = cgutils.unpack_tuple(builder, arguments[0], values.count)
        target, derivative, pixel, bias, linear, linear_pixel = arguments[2:]
        for v in range(values.count // _TOGETHER):
            register = INT64(v * kind.lanes * kind.element_bytes)
            rest = INT64((v - count) * kind.lanes * kind.element_bytes)
            constant = Expression.at(builder, kind, builder.add(bias, register)) if v < count else None
            for s in range(_TOGETHER):
                e = Expression(builder, kind, items[v * _TOGETHER + s])
                if constant is None:
                    e.to(builder.add(builder.add(linear, builder.mul(linear_pixel, INT64(s))), rest))
                    continue
                place = builder.add(builder.mul(pixel, INT64(s)), register)
                whole = 1 + e * e
                (logarithm(whole) + constant).to(builder.add(target, place))
                ((e + e) / whole).to(builder.add(derivative, place))
        return context.get_dummy_value()

    return types.void(values, energies, *[types.int64] * 6), codegen


@intrinsic
def _store_totals(typingctx, values, address):
    """The sum of the lanes of each register, one after the other."""
    kind = values.dtype

    def codegen(context, builder, signature, arguments):
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(kind.element, [kind.element, kind.ir]),
            f"llvm.vector.reduce.fadd.{kind.mangled}",
        )
        items = cgutils.unpack_tuple(builder, arguments[0], values.count)
        places = steps_of(builder, arguments[1], INT64(kind.element_bytes), values.count)
        for item, place in zip(items, places, strict=True):
            total = builder.call(function, [ir.Constant(kind.element, 0.0), item], fastmath=("reassoc",))
            builder.store(total, at_address(builder, place), align=kind.element_bytes)
        return context.get_dummy_value()

    return types.void(values, types.int64), codegen


@lru_cache
def feature_kernel(kind: int, energies: int, linear: int):
    """Features of `PLANES` planes: `energies` registers of `kind` of energies, `linear` ones of linear features.

    Its words, behind the header: addresses of the planes, channels innermost, with one pixel around whole tiles; of the
    energies, of their derivative, and of the linear features, with a margin of two pixels; rows, columns and images;
    the filters, see `feature_filters`; the biases of the energies, and the bytes from those of an image to the next. A
    task is a row.
    """
    lanes = kind % 1000
    itemsize = 8 if kind >= F64 else 4
    vectors = energies + linear
    grid = vectors * _TOGETHER
    weights = vectors * lanes * itemsize
    pixel = energies * lanes * itemsize
    linear_pixel = linear * lanes * itemsize
    plane_pixel = PLANES * itemsize
    scalars = 3 * PLANES

    @cached_cfunc
    def kernel(table):
        (
            planes, target, derivative, features, rows, columns, filters, biases, bias_step,
        ) = read_words(table + 24, 9)  # fmt: skip
        task = atomic_next(table)
        while task < read_word(table + 16):
            image, row = task // rows, task % rows
            above = planes + (image * (rows + 2) + row) * (columns + 2) * plane_pixel
            begin = (image * (rows + 4) + row + 2) * (columns + 4) + 2
            for column in range(0, columns, _TOGETHER):
                values = zeros(kind, grid)
                weight = filters
                for i in range(3):
                    seen = above + (i * (columns + 2) + column) * plane_pixel
                    for _ in range(scalars):
                        values = fma_grid(values, vectors, weight, seen, plane_pixel)
                        seen += itemsize
                        weight += weights
                place = begin + column
                _features_out(
                    values, energies, target + place * pixel, derivative + place * pixel, pixel,
                    biases + image * bias_step, features + place * linear_pixel, linear_pixel,
                )  # fmt: skip
            task = atomic_next(table)

    return kernel


@lru_cache
def adjoint_kernel(kind: int, energies: int, linear: int):
    """From gradients of features before any function to those of the planes.

    Its words, behind the header: addresses of the gradients of the energies and of the linear features, with a margin
    of two pixels of zeros, and of that of the planes, to write, with one pixel around whole tiles; rows and columns;
    the filters, see `adjoint_filters`. A task is a row of the planes.
    """
    lanes = kind % 1000
    itemsize = 8 if kind >= F64 else 4
    register = lanes * itemsize
    pixel, linear_pixel = energies * register, linear * register
    grid = PLANES * _ADJOINT
    step = PLANES * register

    @cached_cfunc
    def kernel(table):
        of_energies, of_linear, target, rows, columns, filters = read_words(table + 24, 6)
        task = atomic_next(table)
        while task < read_word(table + 16):
            image, row = task // (rows + 2), task % (rows + 2)
            line = target + task * (columns + 2) * PLANES * itemsize
            for column in range(0, columns + 2, _ADJOINT):
                values = zeros(kind, grid)
                weight = filters
                for i in range(3):
                    for j in range(3):
                        place = (image * (rows + 4) + row + 2 - i) * (columns + 4) + column + 2 - j
                        seen = of_energies + place * pixel
                        for _ in range(energies):
                            values = fma_outer(values, _ADJOINT, seen, pixel, weight, register)
                            seen += register
                            weight += step
                        seen = of_linear + place * linear_pixel
                        for _ in range(linear):
                            values = fma_outer(values, _ADJOINT, seen, linear_pixel, weight, register)
                            seen += register
                            weight += step
                _store_totals(values, line + column * PLANES * itemsize)
            task = atomic_next(table)

    return kernel
