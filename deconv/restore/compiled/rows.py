"""Loops over rows, of few arrays each: those are what the compiler makes vector instructions of."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "add",
    "add_squares",
    "ahead",
    "behind",
    "difference",
    "hard_factors",
    "power_factors",
    "second",
    "second_across",
    "shrink",
    "soft_factors",
    "summed",
    "wanted",
]


@njit(error_model="numpy")
def ahead(out, row, factor):
    """factor * (row[j + 1] - row[j]), around the end."""
    last = len(row) - 1
    near, far, inner = row[:last], row[1:], out[:last]
    for j in range(last):
        inner[j] = factor * (far[j] - near[j])
    out[last] = factor * (row[0] - row[last])


@njit(error_model="numpy")
def behind(out, row, factor):
    """factor * (row[j - 1] - row[j]), around the end."""
    last = len(row) - 1
    near, far, inner = row[1:], row[:last], out[1:]
    for j in range(last):
        inner[j] = factor * (far[j] - near[j])
    out[0] = factor * (row[last] - row[0])


@njit(error_model="numpy")
def second(out, before, row, after):
    for j in range(len(out)):
        out[j] = (after[j] - row[j]) - (row[j] - before[j])


@njit(error_model="numpy")
def second_across(out, row):
    last = len(row) - 1
    second(out[1:last], row[: last - 1], row[1:last], row[2:])
    out[0] = (row[1 if last else 0] - row[0]) - (row[0] - row[last])
    if last:
        out[last] = (row[0] - row[last]) - (row[last] - row[last - 1])


@njit(error_model="numpy")
def difference(out, a, b):
    for j in range(len(out)):
        out[j] = a[j] - b[j]


@njit(error_model="numpy")
def summed(out, a, b):
    for j in range(len(out)):
        out[j] = a[j] + b[j]


@njit(error_model="numpy")
def wanted(out, z, d, relaxation):
    """Over-relaxed responses less the multipliers, in place of the responses in `out`."""
    for j in range(len(out)):
        out[j] = z[j] + relaxation * (out[j] - z[j]) - d[j]


@njit(error_model="numpy")
def add_squares(out, row):
    for j in range(len(out)):
        out[j] += row[j] * row[j]


@njit(error_model="numpy")
def hard_factors(squares, threshold, one, zero):
    for j in range(len(squares)):
        squares[j] = one if squares[j] > threshold + threshold else zero


@njit(error_model="numpy")
def soft_factors(squares, threshold, one, zero, tiny):
    for j in range(len(squares)):
        square = squares[j] if squares[j] > tiny else tiny
        factor = one - threshold / np.sqrt(square)
        squares[j] = factor if factor > zero else zero


@njit(error_model="numpy")
def power_factors(squares, threshold, last, lookup):
    """By linear interpolation; `last` is the index at which lengths are one threshold. A threshold that is not finite
    must not lead out of the table."""
    following = lookup[1:]
    for j in range(len(squares)):
        length = np.sqrt(squares[j])
        position = last * (threshold / length) if length > threshold else last
        position = position if position < last else last
        k = np.uint32(position)
        low = lookup[k]
        squares[j] = low + (position - np.float32(k)) * (following[k] - low)


@njit(error_model="numpy")
def shrink(z, d, wanted, factors, decay):
    for j in range(len(z)):
        shrunk = factors[j] * wanted[j]
        z[j] = shrunk
        d[j] = (shrunk - wanted[j]) * decay


@njit(error_model="numpy")
def add(out, factor, row):
    for j in range(len(out)):
        out[j] += factor * row[j]
