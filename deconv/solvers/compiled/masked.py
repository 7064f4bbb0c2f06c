"""Parts of registers, and squares of registers: masked loads and stores, and transposition between NCHW and lanes."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .vector import INT32, INT64, Vector, are_literals, at_address, load_vector, shuffle, steps_of, store_vector

__all__ = ["load_pixels", "store_pixels", "transpose_in", "transpose_out"]


def _mask(builder, kind, count):
    """Lanes below `count`."""
    lanes = ir.Constant(ir.VectorType(INT64, kind.lanes), list(range(kind.lanes)))
    first = builder.insert_element(ir.Constant(lanes.type, ir.Undefined), count, INT32(0))
    limit = shuffle(builder, first, ir.Constant(lanes.type, ir.Undefined), [0] * kind.lanes)
    return builder.icmp_signed("<", lanes, limit)


def _masked_load(builder, kind, address, mask):
    bits = ir.VectorType(ir.IntType(1), kind.lanes)
    signature = ir.FunctionType(kind.ir, [ir.PointerType(), INT32, bits, kind.ir])
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.masked.load.{kind.mangled}.p0")
    arguments = INT32(kind.element_bytes), mask, ir.Constant(kind.ir, None)
    return builder.call(function, (at_address(builder, address), *arguments))


def _masked_store(builder, kind, value, address, mask):
    bits = ir.VectorType(ir.IntType(1), kind.lanes)
    signature = ir.FunctionType(ir.VoidType(), [kind.ir, ir.PointerType(), INT32, bits])
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.masked.store.{kind.mangled}.p0")
    arguments = INT32(kind.element_bytes), mask
    builder.call(function, (value, at_address(builder, address), *arguments))


def _between(builder, kind, low, high):
    above = builder.not_(_mask(builder, kind, low))
    return builder.and_(above, _mask(builder, kind, high))


@intrinsic(prefer_literal=True)
def load_pixels(typingctx, kind, address, low, high):
    """One vector whose lanes ``low <= lane < high`` are read, the others zero and not touched in memory."""
    if not are_literals(kind):
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
                rows[k], rows[k + step] = shuffle(builder, a, b, upper), shuffle(builder, a, b, lower)
        step *= 2
    return rows


def _row_of_block(builder, vector, lane, rows, columns, first, step):
    """Address and mask of row `lane` of a block; a row that does not exist is an empty mask on the first one.

    Even an empty mask must not point to unmapped memory: processors then take a slow path.
    """
    inside = builder.icmp_signed("<", INT64(lane), rows)
    mask = _mask(builder, vector, builder.select(inside, columns, INT64(0)))
    return builder.select(inside, step, first), mask


@intrinsic(prefer_literal=True)
def transpose_in(typingctx, kind, source, source_stride, rows, columns, target, target_stride):
    """Write column k < `columns` of a block of `rows` x `columns` elements as a vector at ``target + k * stride``.

    `rows` and `columns` are at most the lanes of a vector; lanes from `rows` on are zero.
    """
    if not are_literals(kind):
        return None
    vector = Vector(kind.literal_value)

    def codegen(context, builder, signature, arguments):
        _, source, source_stride, rows, columns, target, target_stride = arguments
        block = []
        for lane, step in enumerate(steps_of(builder, source, source_stride, vector.lanes)):
            address, mask = _row_of_block(builder, vector, lane, rows, columns, source, step)
            block.append(_masked_load(builder, vector, address, mask))
        steps = steps_of(builder, target, target_stride, vector.lanes)
        for lane, value in enumerate(_transpose(builder, block)):
            with builder.if_then(builder.icmp_signed("<", INT64(lane), columns), likely=True):
                store_vector(builder, vector, value, steps[lane])
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 6), codegen


@intrinsic(prefer_literal=True)
def transpose_out(typingctx, kind, source, source_stride, rows, columns, target, target_stride):
    """The way back: vectors at ``source + k * stride`` are the columns of a block of `rows` x `columns` elements.

    Reads a full square of vectors, so `source` needs slack behind it; writes only the block.
    """
    if not are_literals(kind):
        return None
    vector = Vector(kind.literal_value)

    def codegen(context, builder, signature, arguments):
        _, source, source_stride, rows, columns, target, target_stride = arguments
        block = [load_vector(builder, vector, step) for step in steps_of(builder, source, source_stride, vector.lanes)]
        steps = steps_of(builder, target, target_stride, vector.lanes)
        for lane, value in enumerate(_transpose(builder, block)):
            address, mask = _row_of_block(builder, vector, lane, rows, columns, target, steps[lane])
            _masked_store(builder, vector, value, address, mask)
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 6), codegen
