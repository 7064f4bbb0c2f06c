"""Loops over rows, of few arrays each and one that is written: those are what the compiler makes vector instructions
of."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "add_mixed",
    "add_second",
    "add_squares",
    "adjoint_of_first",
    "ahead",
    "behind",
    "copied",
    "difference",
    "divided",
    "drawn_to",
    "explain",
    "explain_bounded",
    "filled",
    "hard_factors",
    "mirror",
    "power_factors",
    "relax",
    "relax_first",
    "relax_mixed",
    "relax_second",
    "soft_factors",
    "squares_of_three",
    "squares_of_two",
    "wrapped",
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
def difference(out, a, b):
    for j in range(len(out)):
        out[j] = a[j] - b[j]


@njit(error_model="numpy")
def add_squares(out, row):
    for j in range(len(out)):
        out[j] += row[j] * row[j]


# Loops, as numba takes ten times as long to compile the assignment to a slice.


@njit(error_model="numpy")
def copied(out, row):
    for j in range(len(out)):
        out[j] = row[j]


@njit(error_model="numpy")
def filled(out, value):
    for j in range(len(out)):
        out[j] = value


@njit(error_model="numpy")
def wrapped(out, row):
    """The row with the pixel before it and the one after it, around its ends."""
    last = len(row) - 1
    copied(out[1 : last + 2], row)
    out[0] = row[last]
    out[last + 2] = row[0]


# What a variable w of splitting becomes: relaxation * response + (slope * f + constant) * w, see `kernels`.


@njit(error_model="numpy")
def relax_first(w, f, here, ahead, relaxation, slope, constant):
    """The response is a first difference."""
    for j in range(len(w)):
        w[j] = relaxation * (ahead[j] - here[j]) + (slope * f[j] + constant) * w[j]


@njit(error_model="numpy")
def relax_second(w, f, before, here, ahead, relaxation, slope, constant):
    """The response is a second difference."""
    for j in range(len(w)):
        w[j] = relaxation * ((ahead[j] - here[j]) - (here[j] - before[j])) + (slope * f[j] + constant) * w[j]


@njit(error_model="numpy")
def relax_mixed(w, f, here, ahead, below, across, relaxation, slope, constant):
    """The response is a difference along the row and across it."""
    for j in range(len(w)):
        w[j] = relaxation * ((across[j] - ahead[j]) - (below[j] - here[j])) + (slope * f[j] + constant) * w[j]


# Squared lengths, and in their place the factors f of shrinkage.


@njit(error_model="numpy")
def squares_of_two(out, a, b):
    for j in range(len(out)):
        out[j] = a[j] * a[j] + b[j] * b[j]


@njit(error_model="numpy")
def squares_of_three(out, a, b, c):
    for j in range(len(out)):
        out[j] = a[j] * a[j] + b[j] * b[j] + c[j] * c[j]


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
    # Apart from the table's look-up, whose addresses keep the compiler from vector instructions.
    for j in range(len(squares)):
        length = np.sqrt(squares[j])
        position = last * (threshold / length) if length > threshold else last
        squares[j] = position if position < last else last
    following = lookup[1:]
    for j in range(len(squares)):
        k = np.int32(squares[j])
        low = lookup[k]
        squares[j] = low + (squares[j] - np.float32(k)) * (following[k] - low)


@njit(error_model="numpy")
def drawn_to(out, w, f, slope, constant):
    """The sum of response and multiplier, (slope * f + constant) * w."""
    for j in range(len(out)):
        out[j] = (slope * f[j] + constant) * w[j]


# The adjoints of the differences, times a factor.


@njit(error_model="numpy")
def adjoint_of_first(out, above, here, before, along, factor):
    """Of the differences across the rows, and along them."""
    for j in range(len(out)):
        out[j] = factor * ((above[j] - here[j]) + (before[j] - along[j]))


@njit(error_model="numpy")
def add_second(out, before, here, ahead, factor):
    for j in range(len(out)):
        out[j] += factor * ((ahead[j] - here[j]) - (here[j] - before[j]))


@njit(error_model="numpy")
def add_mixed(out, here, before, above, across, factor):
    for j in range(len(out)):
        out[j] += factor * ((here[j] - above[j]) - (before[j] - across[j]))


# The variable u = h * x of the data; `wanted` is u + multipliers before and after, and u - multipliers between.


@njit(error_model="numpy")
def relax(wanted, u, blurred, relaxation):
    """Over-relaxed blurred image less the multipliers."""
    for j in range(len(wanted)):
        wanted[j] = u[j] + relaxation * (blurred[j] - u[j]) - (wanted[j] - u[j])


@njit(error_model="numpy")
def explain(u, wanted, observed, share, penalty):
    """The mean of what was observed and what is wanted, by their weights."""
    for j in range(len(u)):
        u[j] = share[j] * (observed[j] + penalty * wanted[j])


@njit(error_model="numpy")
def explain_bounded(u, wanted, observed, share, penalty, side, limit):
    """Of clipped pixels that are far enough beyond their limit what is wanted."""
    for j in range(len(u)):
        mean = share[j] * (observed[j] + penalty * wanted[j])
        u[j] = wanted[j] if side[j] * (wanted[j] - limit[j]) > 0 else mean


@njit(error_model="numpy")
def mirror(wanted, u):
    for j in range(len(u)):
        wanted[j] = (u[j] - wanted[j]) + u[j]


@njit(error_model="numpy")
def divided(spectrum, pull, otf, power, smoothing, penalty, one, zero, least):
    """(pull + penalty * conj(H) * spectrum) / (power + smoothing), in place."""
    for j in range(len(spectrum)):
        total = power[j] + smoothing[j]
        inverse = one / total if total > least else zero
        scale = penalty * inverse
        s, h, t = spectrum[j], otf[j], pull[j]
        real = inverse * t.real + scale * (h.real * s.real + h.imag * s.imag)
        imaginary = inverse * t.imag + scale * (h.real * s.imag - h.imag * s.real)
        spectrum[j] = complex(real, imaginary)
