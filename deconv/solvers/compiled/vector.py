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
    "atomic_next",
    "fma_diagonal",
    "fma_grid",
    "fma_outer",
    "load",
    "load_grid",
    "load_pixels",
    "prefetch",
    "read_word",
    "read_words",
    "store",
    "store_grid",
    "store_pixels",
    "total",
    "transpose_in",
    "transpose_out",
    "write_word",
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


_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


def _vectors(kind, count) -> types.UniTuple:
    return types.UniTuple(Vector(kind.literal_value), count.literal_value)


def _literals(*arguments) -> bool:
    return all(isinstance(argument, types.IntegerLiteral) for argument in arguments)


def _address(builder, base):
    return builder.inttoptr(base, ir.PointerType())


def _steps(builder, base, stride, count):
    """Addresses base, base + stride, ...; a constant stride folds into the instruction's displacement."""
    return [builder.add(base, builder.mul(stride, _INT64(k))) if k else base for k in range(count)]


def _load(builder, kind, address):
    return builder.load(_address(builder, address), align=kind.element_bytes, typ=kind.ir)


def _store(builder, kind, value, address):
    builder.store(value, _address(builder, address), align=kind.element_bytes)


def _broadcast(builder, kind, address):
    scalar = builder.load(_address(builder, address), align=kind.element_bytes, typ=kind.element)
    first = builder.insert_element(ir.Constant(kind.ir, ir.Undefined), scalar, _INT32(0))
    zeros_ = ir.Constant(ir.VectorType(_INT32, kind.lanes), [0] * kind.lanes)
    return builder.shuffle_vector(first, ir.Constant(kind.ir, ir.Undefined), zeros_)


def _fma(builder, kind, a, b, c):
    signature = ir.FunctionType(kind.ir, [kind.ir] * 3)
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fma.{kind.mangled}")
    return builder.call(function, (a, b, c))


def _shuffle(builder, a, b, lanes):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, len(lanes)), lanes))


@intrinsic(prefer_literal=True)
def zeros(typingctx, kind, count):
    """A tuple of `count` zero vectors."""
    if not _literals(kind, count):
        return None
    result = _vectors(kind, count)

    def codegen(context, builder, signature, arguments):
        return context.make_tuple(builder, result, [ir.Constant(result.dtype.ir, None)] * result.count)

    return result(kind, count), codegen


@intrinsic(prefer_literal=True)
def load(typingctx, kind, count, address, stride):
    """A tuple of `count` vectors, `stride` bytes apart."""
    if not _literals(kind, count):
        return None
    result = _vectors(kind, count)

    def codegen(context, builder, signature, arguments):
        steps = _steps(builder, *arguments[2:], result.count)
        return context.make_tuple(builder, result, [_load(builder, result.dtype, step) for step in steps])

    return result(kind, count, types.int64, types.int64), codegen


@intrinsic
def store(typingctx, values, address, stride):
    """Write the vectors of a tuple `stride` bytes apart."""

    def codegen(context, builder, signature, arguments):
        items = cgutils.unpack_tuple(builder, arguments[0], values.count)
        for item, step in zip(items, _steps(builder, *arguments[1:], values.count), strict=True):
            _store(builder, values.dtype, item, step)
        return context.get_dummy_value()

    return types.void(values, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def load_grid(typingctx, kind, vectors, columns, address, stride):
    """A grid for `fma_grid`: ``values[v, s]`` is vector v of those, side by side, at ``address + s * stride``."""
    if not _literals(kind, vectors, columns):
        return None
    vector, rows, count = Vector(kind.literal_value), vectors.literal_value, columns.literal_value
    result = types.UniTuple(vector, rows * count)

    def codegen(context, builder, signature, arguments):
        grid = [None] * (rows * count)
        for s, step in enumerate(_steps(builder, *arguments[3:], count)):
            for v in range(rows):
                place = builder.add(step, _INT64(v * vector.lanes * vector.element_bytes))
                grid[v * count + s] = _load(builder, vector, place)
        return context.make_tuple(builder, result, grid)

    return result(kind, vectors, columns, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def store_grid(typingctx, values, vectors, address, stride, first, last):
    """The way back of `load_grid` for the columns ``first <= s < last``."""
    if not _literals(vectors):
        return None
    vector, rows = values.dtype, vectors.literal_value
    count = values.count // rows

    def codegen(context, builder, signature, arguments):
        items = cgutils.unpack_tuple(builder, arguments[0], values.count)
        first, last = arguments[4:]
        for s, step in enumerate(_steps(builder, *arguments[2:4], count)):
            inside = builder.and_(
                builder.icmp_signed("<=", first, _INT64(s)), builder.icmp_signed("<", _INT64(s), last)
            )
            with builder.if_then(inside, likely=True):
                for v in range(rows):
                    place = builder.add(step, _INT64(v * vector.lanes * vector.element_bytes))
                    _store(builder, vector, items[v * count + s], place)
        return context.get_dummy_value()

    return types.void(values, vectors, *[types.int64] * 4), codegen


@intrinsic(prefer_literal=True)
def fma_grid(typingctx, values, vectors, vector_address, scalar_address, scalar_stride):
    """``values[v, s] += vector[v] * scalar[s]``: `vectors` adjacent vectors, the scalars `scalar_stride` bytes apart.

    The tuple is ordered by v, then s.
    """
    if not _literals(vectors):
        return None
    kind, rows = values.dtype, vectors.literal_value
    columns = values.count // rows

    def codegen(context, builder, signature, arguments):
        accumulators = cgutils.unpack_tuple(builder, arguments[0], values.count)
        width = _INT64(kind.lanes * kind.element_bytes)
        left = [_load(builder, kind, step) for step in _steps(builder, arguments[2], width, rows)]
        right = [_broadcast(builder, kind, step) for step in _steps(builder, *arguments[3:], columns)]
        result = [
            _fma(builder, kind, left[v], right[s], accumulators[v * columns + s])
            for v in range(rows)
            for s in range(columns)
        ]
        return context.make_tuple(builder, values, result)

    signature = values(values, vectors, types.int64, types.int64, types.int64)
    return signature, codegen


@intrinsic(prefer_literal=True)
def fma_outer(typingctx, values, rows, left, left_stride, right, right_stride):
    """``values[l, r] += left[l] * right[r]``, vectors all: `rows` on the left, lane by lane with those on the right."""
    if not _literals(rows):
        return None
    kind, count = values.dtype, rows.literal_value
    columns = values.count // count

    def codegen(context, builder, signature, arguments):
        accumulators = cgutils.unpack_tuple(builder, arguments[0], values.count)
        a = [_load(builder, kind, step) for step in _steps(builder, *arguments[2:4], count)]
        b = [_load(builder, kind, step) for step in _steps(builder, *arguments[4:], columns)]
        result = [
            _fma(builder, kind, a[i], b[j], accumulators[i * columns + j]) for i in range(count) for j in range(columns)
        ]
        return context.make_tuple(builder, values, result)

    return values(values, rows, *[types.int64] * 4), codegen


@intrinsic
def fma_diagonal(typingctx, values, vector_address, vector_stride, scalar_address, scalar_stride):
    """``values[k] += vector[k] * scalar[k]``: independent partial sums, to hide the latency of a long sum."""
    kind = values.dtype

    def codegen(context, builder, signature, arguments):
        accumulators = cgutils.unpack_tuple(builder, arguments[0], values.count)
        left = _steps(builder, *arguments[1:3], values.count)
        right = _steps(builder, *arguments[3:], values.count)
        result = [
            _fma(builder, kind, _load(builder, kind, a), _broadcast(builder, kind, b), c)
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


def _mask(builder, kind, count):
    """Lanes below `count`."""
    lanes = ir.Constant(ir.VectorType(_INT64, kind.lanes), list(range(kind.lanes)))
    first = builder.insert_element(ir.Constant(lanes.type, ir.Undefined), count, _INT32(0))
    limit = _shuffle(builder, first, ir.Constant(lanes.type, ir.Undefined), [0] * kind.lanes)
    return builder.icmp_signed("<", lanes, limit)


def _masked_load(builder, kind, address, mask):
    bits = ir.VectorType(ir.IntType(1), kind.lanes)
    signature = ir.FunctionType(kind.ir, [ir.PointerType(), _INT32, bits, kind.ir])
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.masked.load.{kind.mangled}.p0")
    arguments = _INT32(kind.element_bytes), mask, ir.Constant(kind.ir, None)
    return builder.call(function, (_address(builder, address), *arguments))


def _masked_store(builder, kind, value, address, mask):
    bits = ir.VectorType(ir.IntType(1), kind.lanes)
    signature = ir.FunctionType(ir.VoidType(), [kind.ir, ir.PointerType(), _INT32, bits])
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.masked.store.{kind.mangled}.p0")
    arguments = _INT32(kind.element_bytes), mask
    builder.call(function, (value, _address(builder, address), *arguments))


def _between(builder, kind, low, high):
    above = builder.not_(_mask(builder, kind, low))
    return builder.and_(above, _mask(builder, kind, high))


@intrinsic(prefer_literal=True)
def load_pixels(typingctx, kind, address, low, high):
    """One vector whose lanes ``low <= lane < high`` are read, the others zero and not touched in memory."""
    if not _literals(kind):
        return None
    vector = Vector(kind.literal_value)

    def codegen(context, builder, signature, arguments):
        mask = _between(builder, vector, *arguments[2:])
        value = _masked_load(builder, vector, arguments[1], mask)
        return context.make_tuple(builder, signature.return_type, [value])

    return types.UniTuple(vector, 1)(kind, *[types.int64] * 3), codegen


@intrinsic
def store_pixels(typingctx, value, address, low, high):
    """Write the lanes ``low <= lane < high`` of a tuple of one vector."""
    kind = value.dtype

    def codegen(context, builder, signature, arguments):
        (vector,) = cgutils.unpack_tuple(builder, arguments[0], 1)
        _masked_store(builder, kind, vector, arguments[1], _between(builder, kind, *arguments[2:]))
        return context.get_dummy_value()

    return types.void(value, *[types.int64] * 3), codegen


def _transpose(builder, rows):
    """Transpose a square of vectors by exchanging blocks of 1, 2, 4, ... lanes."""
    lanes = len(rows)
    step = 1
    while step < lanes:
        upper = [lane if not lane & step else lanes + lane - step for lane in range(lanes)]
        lower = [lane + step if not lane & step else lanes + lane for lane in range(lanes)]
        for k in range(lanes):
            if not k & step:
                a, b = rows[k], rows[k + step]
                rows[k], rows[k + step] = _shuffle(builder, a, b, upper), _shuffle(builder, a, b, lower)
        step *= 2
    return rows


def _row_of_block(builder, vector, lane, rows, columns, first, step):
    """Address and mask of row `lane` of a block; a row that does not exist is an empty mask on the first one.

    Even an empty mask must not point to unmapped memory: processors then take a slow path.
    """
    inside = builder.icmp_signed("<", _INT64(lane), rows)
    mask = _mask(builder, vector, builder.select(inside, columns, _INT64(0)))
    return builder.select(inside, step, first), mask


@intrinsic(prefer_literal=True)
def transpose_in(typingctx, kind, source, source_stride, rows, columns, target, target_stride):
    """Write column k < `columns` of a block of `rows` x `columns` elements as a vector at ``target + k * stride``.

    `rows` and `columns` are at most the lanes of a vector; lanes from `rows` on are zero.
    """
    if not _literals(kind):
        return None
    vector = Vector(kind.literal_value)

    def codegen(context, builder, signature, arguments):
        _, source, source_stride, rows, columns, target, target_stride = arguments
        block = []
        for lane, step in enumerate(_steps(builder, source, source_stride, vector.lanes)):
            address, mask = _row_of_block(builder, vector, lane, rows, columns, source, step)
            block.append(_masked_load(builder, vector, address, mask))
        steps = _steps(builder, target, target_stride, vector.lanes)
        for lane, value in enumerate(_transpose(builder, block)):
            with builder.if_then(builder.icmp_signed("<", _INT64(lane), columns), likely=True):
                _store(builder, vector, value, steps[lane])
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 6), codegen


@intrinsic(prefer_literal=True)
def transpose_out(typingctx, kind, source, source_stride, rows, columns, target, target_stride):
    """The way back: vectors at ``source + k * stride`` are the columns of a block of `rows` x `columns` elements.

    Reads a full square of vectors, so `source` needs slack behind it; writes only the block.
    """
    if not _literals(kind):
        return None
    vector = Vector(kind.literal_value)

    def codegen(context, builder, signature, arguments):
        _, source, source_stride, rows, columns, target, target_stride = arguments
        block = [_load(builder, vector, step) for step in _steps(builder, source, source_stride, vector.lanes)]
        steps = _steps(builder, target, target_stride, vector.lanes)
        for lane, value in enumerate(_transpose(builder, block)):
            address, mask = _row_of_block(builder, vector, lane, rows, columns, target, steps[lane])
            _masked_store(builder, vector, value, address, mask)
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 6), codegen


@intrinsic(prefer_literal=True)
def prefetch(typingctx, address, to_write):
    """Ask for the cache line at `address`, to be written if `to_write` is 1."""
    if not _literals(to_write):
        return None

    def codegen(context, builder, signature, arguments):
        parameters = [ir.PointerType(), _INT32, _INT32, _INT32]
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), parameters), "llvm.prefetch.p0"
        )
        locality, data = _INT32(3), _INT32(1)
        purpose = _INT32(to_write.literal_value)
        builder.call(function, (_address(builder, arguments[0]), purpose, locality, data))
        return context.get_dummy_value()

    return types.void(types.int64, to_write), codegen


@intrinsic(prefer_literal=True)
def read_words(typingctx, address, count):
    """A tuple of `count` 64-bit integers from `address` on."""
    if not _literals(count):
        return None
    result = types.UniTuple(types.int64, count.literal_value)

    def codegen(context, builder, signature, arguments):
        steps = _steps(builder, arguments[0], _INT64(8), result.count)
        words = [builder.load(_address(builder, step), align=8, typ=_INT64) for step in steps]
        return context.make_tuple(builder, result, words)

    return result(types.int64, count), codegen


@intrinsic
def read_word(typingctx, address):
    """The 64-bit integer at `address`."""

    def codegen(context, builder, signature, arguments):
        return builder.load(_address(builder, arguments[0]), align=8, typ=_INT64)

    return types.int64(types.int64), codegen


@intrinsic
def write_word(typingctx, address, value):
    """Write a 64-bit integer."""

    def codegen(context, builder, signature, arguments):
        builder.store(arguments[1], _address(builder, arguments[0]), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def atomic_next(typingctx, address):
    """Add one to the 64-bit integer at `address` for all threads to see; returns what it was."""

    def codegen(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _address(builder, arguments[0]), _INT64(1), "monotonic")

    return types.int64(types.int64), codegen
