"""Integers in memory: the words of a kernel's table, the counter that hands out tasks, prefetching."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .vector import INT32, INT64, are_literals, at_address, steps_of

__all__ = ["atomic_next", "pointer", "prefetch", "read_word", "read_words", "write_word"]


@intrinsic(prefer_literal=True)
def prefetch(typingctx, address, to_write):
    """Ask for the cache line at `address`, to be written if `to_write` is 1."""
    if not are_literals(to_write):
        return None

    def codegen(context, builder, signature, arguments):
        parameters = [ir.PointerType(), INT32, INT32, INT32]
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), parameters), "llvm.prefetch.p0"
        )
        locality, data = INT32(3), INT32(1)
        purpose = INT32(to_write.literal_value)
        builder.call(function, (at_address(builder, arguments[0]), purpose, locality, data))
        return context.get_dummy_value()

    return types.void(types.int64, to_write), codegen


@intrinsic(prefer_literal=True)
def read_words(typingctx, address, count):
    """A tuple of `count` 64-bit integers from `address` on."""
    if not are_literals(count):
        return None
    result = types.UniTuple(types.int64, count.literal_value)

    def codegen(context, builder, signature, arguments):
        steps = steps_of(builder, arguments[0], INT64(8), result.count)
        words = [builder.load(at_address(builder, step), align=8, typ=INT64) for step in steps]
        return context.make_tuple(builder, result, words)

    return result(types.int64, count), codegen


@intrinsic
def read_word(typingctx, address):
    """The 64-bit integer at `address`."""

    def codegen(context, builder, signature, arguments):
        return builder.load(at_address(builder, arguments[0]), align=8, typ=INT64)

    return types.int64(types.int64), codegen


@intrinsic
def write_word(typingctx, address, value):
    """Write a 64-bit integer."""

    def codegen(context, builder, signature, arguments):
        builder.store(arguments[1], at_address(builder, arguments[0]), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def atomic_next(typingctx, address):
    """Add one to the 64-bit integer at `address` for all threads to see; returns what it was."""

    def codegen(context, builder, signature, arguments):
        return builder.atomic_rmw("add", at_address(builder, arguments[0]), INT64(1), "monotonic")

    return types.int64(types.int64), codegen


@intrinsic
def pointer(typingctx, address, scalar):
    """A pointer to numbers of a type at `address`, for `numba.carray`."""

    def codegen(context, builder, signature, arguments):
        return at_address(builder, arguments[0])

    return types.CPointer(scalar.dtype)(types.int64, scalar), codegen
