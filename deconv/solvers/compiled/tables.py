"""What the kernels read beside the images: where the taps lie, packed weights, the inverse of the anchor."""

from __future__ import annotations

import numpy as np

from .cache import cached_njit
from .prepared import SolveShape

__all__ = ["causal_taps", "invert_anchors", "pack_rows_below", "pack_taps", "row_tables", "tap_packer"]


def causal_taps(shape: SolveShape) -> np.ndarray:
    """The taps off the anchor that can touch the image, one row each: kernel row, kernel column."""
    bottom = shape.kernel_height - 1
    taps = [
        (a, b)
        for a in range(max(0, bottom + 1 - shape.height), bottom + 1)
        for b in range(shape.kernel_width if a < bottom else shape.anchor)
        if abs(shape.anchor - b) < shape.width
    ]
    return np.array(taps, dtype=np.int64).reshape(-1, 2)


@cached_njit
def invert_anchors(weight, groups, column, inverse):
    """Invert the anchors of `weight` (C, C / groups, kh, kw) into `inverse` (groups, n, n) by Gauss-Jordan elimination.

    In float64, because their errors multiply every pixel. Returns the largest condition number in the 1-norm, infinite
    if one is singular, and whether all are the identity.
    """
    n = weight.shape[1]
    row = weight.shape[2] - 1
    worst = 1.0
    identity = True
    work = np.empty((n, 2 * n))
    for g in range(groups):
        norm = 0.0
        for j in range(n):
            column_sum = 0.0
            for i in range(n):
                value = np.float64(weight[g * n + i, j, row, column])
                work[i, j] = value
                work[i, n + j] = 1.0 if i == j else 0.0
                identity = identity and value == work[i, n + j]
                column_sum += abs(value)
            norm = max(norm, column_sum)
        for k in range(n):
            pivot = k
            for i in range(k + 1, n):
                if abs(work[i, k]) > abs(work[pivot, k]):
                    pivot = i
            if not abs(work[pivot, k]) > 0.0:
                return np.inf, False
            scale = 1.0 / work[pivot, k]
            for j in range(2 * n):
                value = work[pivot, j] * scale
                work[pivot, j] = work[k, j]
                work[k, j] = value
            for i in range(n):
                factor = work[i, k]
                if i != k and factor != 0.0:
                    for j in range(2 * n):
                        work[i, j] -= factor * work[k, j]
        largest = 0.0
        for j in range(n):
            column_sum = 0.0
            for i in range(n):
                inverse[g, i, j] = work[i, n + j]
                column_sum += abs(work[i, n + j])
            largest = max(largest, column_sum)
        condition = norm * largest
        if not condition <= worst:  # NaN counts as the worst
            worst = condition
    return worst, identity


@cached_njit
def pack_taps(weight, taps, sign, inputs, outputs, packed):
    """Signed taps in the order in which a kernel reads them: group, block of `outputs` channels, tap, input, output.

    Inputs and outputs beyond the channels of a group are padding and get zeros.
    """
    n = weight.shape[1]
    groups = weight.shape[0] // n
    blocks = (n + outputs - 1) // outputs
    packed[:] = 0
    for g in range(groups):
        for o in range(n):
            block, k = o // outputs, o % outputs
            for i in range(n):
                for t in range(taps.shape[0]):
                    place = (((g * blocks + block) * taps.shape[0] + t) * inputs + i) * outputs + k
                    packed[place] = sign * weight[g * n + o, i, taps[t, 0], taps[t, 1]]


def tap_packer(shape: SolveShape, taps: np.ndarray, inputs: int, outputs: int):
    """`PreparedKernel.pack`: the negated `taps` by `pack_taps`, then the inverse anchors, None for the identity."""
    blocks = -(-shape.channels // outputs)
    itself = np.zeros((1, 2), np.int64)

    def pack(weight, inverse, identity):
        packed = np.empty(shape.groups * blocks * len(taps) * inputs * outputs, weight.dtype)
        pack_taps(weight, taps, -1, inputs, outputs, packed)
        if identity:
            return packed, None
        mixing = np.empty(shape.groups * blocks * shape.channels * outputs, weight.dtype)
        pack_taps(inverse.reshape(-1, shape.channels, 1, 1), itself, 1, shape.channels, outputs, mixing)
        return packed, mixing

    return pack


@cached_njit
def row_tables(weight, groups, anchor, flipped, lanes, reach, anchor_inverse, inverse, coupling):
    """The recurrence along a row as dense matrices on one register: `A` and `-K` of the kernel with pixels in lanes.

    With the in-row taps `w_d` (d pixels back) the inverse of the row's operator has the impulse response
    ``g_0 = T^-1``, ``g_k = -T^-1 sum_d w_d g_{k-d}``, and ``A[l, m] = g_{l-m}``,
    ``-K[l, e] = -sum_m g_{l-m} w_{m+e}`` for the pixel e before the register. `inverse` is
    (groups, output, input, column, lane), `coupling` (groups, output, input, reach, lane), both zero on entry.
    """
    n = weight.shape[1]
    bottom = weight.shape[2] - 1
    response = np.empty((lanes, n, n))
    for g in range(groups):
        for k in range(lanes):
            for o in range(n):
                for i in range(n):
                    value = np.float64(anchor_inverse[g, o, i]) if k == 0 else 0.0
                    for d in range(1, min(k, anchor) + 1):
                        for m in range(n):
                            for q in range(n):
                                tap = np.float64(weight[g * n + m, q, bottom, anchor - d])
                                value -= anchor_inverse[g, o, m] * tap * response[k - d, q, i]
                    response[k, o, i] = value
        for lane in range(lanes):
            place = lanes - 1 - lane if flipped else lane
            for m in range(lane + 1):
                column = lanes - 1 - m if flipped else m
                for o in range(n):
                    for i in range(n):
                        inverse[g, o, i, column, place] = response[lane - m, o, i]
                        for e in range(1, min(reach, anchor - m) + 1):
                            for k in range(n):
                                tap = np.float64(weight[g * n + k, i, bottom, anchor - m - e])
                                coupling[g, o, i, e - 1, place] -= response[lane - m, o, k] * tap


@cached_njit
def pack_rows_below(weight, groups, depth, columns, pushed, packed):
    """Negated taps as a finished row is pushed down: group, block of `pushed` sums, input, kernel column, sum.

    Sum `s` is output channel ``s % n`` of the row ``s // n + 1`` below; `columns` are kernel columns in the order of
    memory.
    """
    n = weight.shape[1]
    bottom = weight.shape[2] - 1
    packed[:] = 0
    blocks = (depth * n + pushed - 1) // pushed
    for g in range(groups):
        for s in range(depth * n):
            below, o = s // n + 1, s % n
            for i in range(n):
                for c in range(columns.size):
                    place = (((g * blocks + s // pushed) * n + i) * columns.size + c) * pushed + s % pushed
                    packed[place] = -weight[g * n + o, i, bottom - below, columns[c]]
