"""Formulas over vector registers, written as formulas: what the intrinsics of this folder are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import ir
from numba.core import cgutils

from ...solvers.compiled.vector import Vector, load_vector, store_vector

__all__ = ["Expression", "exponential", "logarithm", "logistic"]

# Rounding may be left out between a product and a sum: one instruction in place of two.
_FLAGS = ("contract",)


@dataclass(frozen=True)
class Expression:
    """The value of a register, with operators that emit instructions. Numbers stand for registers full of them."""

    builder: ir.IRBuilder
    kind: Vector
    value: ir.Value

    @classmethod
    def at(cls, builder: ir.IRBuilder, kind: Vector, address: ir.Value) -> Expression:
        """What is in memory."""
        return cls(builder, kind, load_vector(builder, kind, address))

    def to(self, address: ir.Value) -> None:
        """Write it to memory."""
        store_vector(self.builder, self.kind, self.value, address)

    def __add__(self, other: Expression | float) -> Expression:
        return self._with(self.builder.fadd(self.value, self._value_of(other), flags=_FLAGS))

    def __sub__(self, other: Expression | float) -> Expression:
        return self._with(self.builder.fsub(self.value, self._value_of(other), flags=_FLAGS))

    def __mul__(self, other: Expression | float) -> Expression:
        return self._with(self.builder.fmul(self.value, self._value_of(other), flags=_FLAGS))

    def __truediv__(self, other: Expression | float) -> Expression:
        return self._with(self.builder.fdiv(self.value, self._value_of(other)))

    def __rsub__(self, other: float) -> Expression:
        return self._number(other) - self

    def __rtruediv__(self, other: float) -> Expression:
        return self._number(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def clamped(self, least: float, most: float) -> Expression:
        lower = self._number(least)._chosen("<", self)
        return self._number(most)._chosen(">", lower)

    def rounded(self) -> Expression:
        """To whole numbers, still as floats."""
        signature = ir.FunctionType(self.kind.ir, [self.kind.ir])
        function = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.rint.{self.kind.mangled}")
        return self._with(self.builder.call(function, [self.value]))

    def _chosen(self, order: str, other: Expression) -> Expression:
        """`other`, where ``self order other``, else self."""
        where = self.builder.fcmp_ordered(order, self.value, other.value)
        return self._with(self.builder.select(where, other.value, self.value))

    def _with(self, value: ir.Value) -> Expression:
        return Expression(self.builder, self.kind, value)

    def _value_of(self, other: Expression | float) -> ir.Value:
        return (other if isinstance(other, Expression) else self._number(other)).value

    def _number(self, value: float) -> Expression:
        return self._with(ir.Constant(self.kind.ir, [float(value)] * self.kind.lanes))

    # A floating point number in bits: sign, exponent, mantissa.

    @property
    def _mantissa_bits(self) -> int:
        return 23 if self.kind.element_bytes == 4 else 52

    @property
    def _bias(self) -> int:
        return 127 if self.kind.element_bytes == 4 else 1023

    @property
    def _integers(self) -> ir.VectorType:
        return ir.VectorType(ir.IntType(8 * self.kind.element_bytes), self.kind.lanes)

    def _integer(self, value: int) -> ir.Constant:
        return ir.Constant(self._integers, [value] * self.kind.lanes)

    def power_of_two(self) -> Expression:
        """Two to a whole number, within the range of exponents."""
        whole = self.builder.fptosi(self.value, self._integers)
        raised = self.builder.add(whole, self._integer(self._bias))
        bits = self.builder.shl(raised, self._integer(self._mantissa_bits))
        return self._with(self.builder.bitcast(bits, self.kind.ir))

    def split(self) -> tuple[Expression, Expression]:
        """A positive number as a mantissa, from the root of 1/2 to that of 2, and the exponent of 2 before it."""
        bits = self.builder.bitcast(self.value, self._integers)
        # As if the mantissa ran from the root of 1/2: the bits of the exponent then turn over there.
        root = self._integer(_root_of_half(self.kind))
        above = self.builder.sub(bits, root)
        exponent = self.builder.ashr(above, self._integer(self._mantissa_bits))
        mantissa = self.builder.sub(bits, self.builder.shl(exponent, self._integer(self._mantissa_bits)))
        return (
            self._with(self.builder.bitcast(mantissa, self.kind.ir)),
            self._with(self.builder.sitofp(exponent, self.kind.ir)),
        )


def exponential(x: Expression) -> Expression:
    r"""exp, by :math:`2^n \sum_k r^k / k!` with :math:`|r| \le \tfrac12 \ln 2`; the argument is clamped to what has a
    normal result."""
    double = x.kind.element_bytes == 8
    x = x.clamped(-87, 88) if not double else x.clamped(-708, 709)
    n = (x * (1 / math.log(2))).rounded()
    high = 0.693359375  # of few bits, so that its product with n is exact
    r = x - n * high - n * (math.log(2) - high)
    return _polynomial([1 / math.factorial(k) for k in range(14 if double else 8)], r) * n.power_of_two()


def logarithm(x: Expression) -> Expression:
    r"""Of a positive normal number, by :math:`n \ln 2 + 2 \operatorname{artanh} \frac{m - 1}{m + 1}`."""
    m, n = x.split()
    s = (m - 1) / (m + 1)
    terms = 11 if x.kind.element_bytes == 8 else 5
    return n * math.log(2) + s * _polynomial([2 / (2 * k + 1) for k in range(terms)], s * s)


def logistic(x: Expression) -> Expression:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + exponential(0 - x))


def _polynomial(coefficients: Sequence[float], x: Expression) -> Expression:
    *rest, last = coefficients
    value = x * last + rest.pop()
    while rest:
        value = value * x + rest.pop()
    return value


def _root_of_half(kind: Vector) -> int:
    """The bits of the square root of 1/2."""
    import numpy as np

    single = kind.element_bytes == 4
    return int(np.array(math.sqrt(0.5), np.float32 if single else np.float64).view(np.int32 if single else np.int64))
