"""Vector registers for numba: a small set of intrinsics that emit LLVM vector instructions.

A *kind* names an element type and a number of lanes; it is a compile-time integer (`F32` or `F64` plus the lanes), so
that kernels can carry it as a plain constant and numba can cache what it compiles. Values are tuples of vectors, the
accumulators of a kernel, which LLVM keeps in registers. Memory is addressed in bytes by plain integers.

All kernels rest on one product, `fma_grid`: vectors times broadcast scalars, an outer product summed into registers.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

__all__ = [
    "F32",
    "F64",
    "INT32",
    "INT64",
    "Vector",
    "add_lanes",
    "are_literals",
    "at_address",
    "fma_diagonal",
    "fma_grid",
    "fma_outer",
    "load",
    "load_grid",
    "load_vector",
    "shuffle",
    "steps_of",
    "store",
    "store_grid",
    "store_vector",
    "total",
    "zeros",
]

F32, F64 = 1000, 2000


class Vector(types.Type):
    """A SIMD register of a kind."""

    def __init__(self, kind: int):
        self.lanes = kind % 1000
        self.element = ir.FloatType() if kind < F64 else ir.DoubleType()
        self.element_bytes = 4 if kind < F64 else 8
        self.ir = ir.VectorType(self.element, self.lanes)
        # The name LLVM gives this type inside the names of its overloaded intrinsics.
        self.mangled = f"v{self.lanes}f{8 * self.element_bytes}"
        super().__init__(name=f"Vector({kind})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.ir)


INT32, INT64 = ir.IntType(32), ir.IntType(64)


def _vectors(kind, count) -> types.UniTuple:
    return types.UniTuple(Vector(kind.literal_value), count.literal_value)


def are_literals(*arguments) -> bool:
    return all(isinstance(argument, types.IntegerLiteral) for argument in arguments)


def at_address(builder, base):
    return builder.inttoptr(base, ir.PointerType())


def steps_of(builder, base, stride, count):
    """Addresses base, base + stride, ...; a constant stride folds into the instruction's displacement."""
    return [builder.add(base, builder.mul(stride, INT64(k))) if k else base for k in range(count)]


def load_vector(builder, kind, address):
    return builder.load(at_address(builder, address), align=kind.element_bytes, typ=kind.ir)


def store_vector(builder, kind, value, address):
    builder.store(value, at_address(builder, address), align=kind.element_bytes)


def _broadcast(builder, kind, address):
    scalar = builder.load(at_address(builder, address), align=kind.element_bytes, typ=kind.element)
    first = builder.insert_element(ir.Constant(kind.ir, ir.Undefined), scalar, INT32(0))
    zeros_ = ir.Constant(ir.VectorType(INT32, kind.lanes), [0] * kind.lanes)
    return builder.shuffle_vector(first, ir.Constant(kind.ir, ir.Undefined), zeros_)


def _fma(builder, kind, a, b, c):
    signature = ir.FunctionType(kind.ir, [kind.ir] * 3)
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fma.{kind.mangled}")
    return builder.call(function, (a, b, c))


def shuffle(builder, a, b, lanes):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, len(lanes)), lanes))


@intrinsic(prefer_literal=True)
def zeros(typingctx, kind, count):
    """A tuple of `count` zero vectors."""
    if not are_literals(kind, count):
        return None
    result = _vectors(kind, count)

    def codegen(context, builder, signature, arguments):
        return context.make_tuple(builder, result, [ir.Constant(result.dtype.ir, None)] * result.count)

    return result(kind, count), codegen


@intrinsic(prefer_literal=True)
def load(typingctx, kind, count, address, stride):
    """A tuple of `count` vectors, `stride` bytes apart."""
    if not are_literals(kind, count):
        return None
    result = _vectors(kind, count)

    def codegen(context, builder, signature, arguments):
        steps = steps_of(builder, *arguments[2:], result.count)
        return context.make_tuple(builder, result, [load_vector(builder, result.dtype, step) for step in steps])

    return result(kind, count, types.int64, types.int64), codegen


@intrinsic
def store(typingctx, values, address, stride):
    """Write the vectors of a tuple `stride` bytes apart."""

    def codegen(context, builder, signature, arguments):
        items = cgutils.unpack_tuple(builder, arguments[0], values.count)
        for item, step in zip(items, steps_of(builder, *arguments[1:], values.count), strict=True):
            store_vector(builder, values.dtype, item, step)
        return context.get_dummy_value()

    return types.void(values, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def load_grid(typingctx, kind, vectors, columns, address, stride):
    """A grid for `fma_grid`: ``values[v, s]`` is vector v of those, side by side, at ``address + s * stride``."""
    if not are_literals(kind, vectors, columns):
        return None
    vector, rows, count = Vector(kind.literal_value), vectors.literal_value, columns.literal_value
    result = types.UniTuple(vector, rows * count)

    def codegen(context, builder, signature, arguments):
        grid = [None] * (rows * count)
        for s, step in enumerate(steps_of(builder, *arguments[3:], count)):
            for v in range(rows):
                place = builder.add(step, INT64(v * vector.lanes * vector.element_bytes))
                grid[v * count + s] = load_vector(builder, vector, place)
        return context.make_tuple(builder, result, grid)

    return result(kind, vectors, columns, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def store_grid(typingctx, values, vectors, address, stride, first, last):
    """The way back of `load_grid` for the columns ``first <= s < last``."""
    if not are_literals(vectors):
        return None
    vector, rows = values.dtype, vectors.literal_value
    count = values.count // rows

    def codegen(context, builder, signature, arguments):
        items = cgutils.unpack_tuple(builder, arguments[0], values.count)
        first, last = arguments[4:]
        for s, step in enumerate(steps_of(builder, *arguments[2:4], count)):
            inside = builder.and_(builder.icmp_signed("<=", first, INT64(s)), builder.icmp_signed("<", INT64(s), last))
            with builder.if_then(inside, likely=True):
                for v in range(rows):
                    place = builder.add(step, INT64(v * vector.lanes * vector.element_bytes))
                    store_vector(builder, vector, items[v * count + s], place)
        return context.get_dummy_value()

    return types.void(values, vectors, *[types.int64] * 4), codegen


@intrinsic(prefer_literal=True)
def fma_grid(typingctx, values, vectors, vector_address, scalar_address, scalar_stride):
    """``values[v, s] += vector[v] * scalar[s]``: `vectors` adjacent vectors, the scalars `scalar_stride` bytes apart.

    The tuple is ordered by v, then s.
    """
    if not are_literals(vectors):
        return None
    kind, rows = values.dtype, vectors.literal_value
    columns = values.count // rows

    def codegen(context, builder, signature, arguments):
        accumulators = cgutils.unpack_tuple(builder, arguments[0], values.count)
        width = INT64(kind.lanes * kind.element_bytes)
        left = [load_vector(builder, kind, step) for step in steps_of(builder, arguments[2], width, rows)]
        # Scalar by scalar: registers are there for the accumulators, and for few scalars at a time.
        for s, step in enumerate(steps_of(builder, *arguments[3:], columns)):
            scalar = _broadcast(builder, kind, step)
            for v in range(rows):
                accumulators[v * columns + s] = _fma(builder, kind, left[v], scalar, accumulators[v * columns + s])
        return context.make_tuple(builder, values, accumulators)

    signature = values(values, vectors, types.int64, types.int64, types.int64)
    return signature, codegen


@intrinsic(prefer_literal=True)
def fma_outer(typingctx, values, rows, left, left_stride, right, right_stride):
    """``values[l, r] += left[l] * right[r]``, vectors all: `rows` on the left, lane by lane with those on the right."""
    if not are_literals(rows):
        return None
    kind, count = values.dtype, rows.literal_value
    columns = values.count // count

    def codegen(context, builder, signature, arguments):
        accumulators = cgutils.unpack_tuple(builder, arguments[0], values.count)
        a = [load_vector(builder, kind, step) for step in steps_of(builder, *arguments[2:4], count)]
        for j, step in enumerate(steps_of(builder, *arguments[4:], columns)):  # one at a time, as in `fma_grid`
            b = load_vector(builder, kind, step)
            for i in range(count):
                accumulators[i * columns + j] = _fma(builder, kind, a[i], b, accumulators[i * columns + j])
        return context.make_tuple(builder, values, accumulators)

    return values(values, rows, *[types.int64] * 4), codegen


@intrinsic
def fma_diagonal(typingctx, values, vector_address, vector_stride, scalar_address, scalar_stride):
    """``values[k] += vector[k] * scalar[k]``: independent partial sums, to hide the latency of a long sum."""
    kind = values.dtype

    def codegen(context, builder, signature, arguments):
        accumulators = cgutils.unpack_tuple(builder, arguments[0], values.count)
        left = steps_of(builder, *arguments[1:3], values.count)
        right = steps_of(builder, *arguments[3:], values.count)
        result = [
            _fma(builder, kind, load_vector(builder, kind, a), _broadcast(builder, kind, b), c)
            for a, b, c in zip(left, right, accumulators, strict=True)
        ]
        return context.make_tuple(builder, values, result)

    return values(values, *[types.int64] * 4), codegen


@intrinsic
def total(typingctx, values):
    """The sum of the vectors of a tuple, as a tuple of one."""
    result = types.UniTuple(values.dtype, 1)

    def codegen(context, builder, signature, arguments):
        items = cgutils.unpack_tuple(builder, arguments[0], values.count)
        while len(items) > 1:
            pairs = [builder.fadd(a, b) for a, b in zip(items[::2], items[1::2], strict=False)]
            items = pairs + items[len(pairs) * 2 :]
        return context.make_tuple(builder, result, items)

    return result(values), codegen


@intrinsic
def add_lanes(typingctx, values, address, stride):
    """Add the lanes of each vector of a tuple, pairs of halves first, to numbers in memory `stride` bytes apart."""
    kind = values.dtype

    def codegen(context, builder, signature, arguments):
        steps = steps_of(builder, *arguments[1:], values.count)
        for item, step in zip(cgutils.unpack_tuple(builder, arguments[0], values.count), steps, strict=True):
            lanes = kind.lanes
            while lanes > 1:
                lanes //= 2
                halves = (shuffle(builder, item, item, [*range(first, first + lanes)]) for first in (0, lanes))
                item = builder.fadd(*halves)
            place = at_address(builder, step)
            kept = builder.load(place, align=kind.element_bytes, typ=kind.element)
            number = builder.extract_element(item, INT32(0))
            builder.store(builder.fadd(kept, number), place, align=kind.element_bytes)
        return context.get_dummy_value()

    return types.void(values, types.int64, types.int64), codegen
