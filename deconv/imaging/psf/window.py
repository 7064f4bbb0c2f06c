"""Where a psf sits in its array: sizes, offsets from the centre, and the last step of every maker."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...choices import pair_of_sizes

__all__ = ["MAX_VALUES", "Size", "check_size", "finish", "offsets", "positive", "resolve"]

Size = int | tuple[int, int] | None

# The largest psf: 4096 x 4096. Nobody means more, and some makers take hundreds of bytes for each value.
MAX_VALUES = 2**24


def check_size(shape: Sequence[int]) -> None:
    """Refuse a psf of more than `MAX_VALUES` values, before anything is allocated."""
    if math.prod(shape) > MAX_VALUES:
        sides = " x ".join(f"{n:.9g}" for n in shape)
        raise ValueError(f"size: {sides} are more than the {MAX_VALUES} values that a psf may have")


def resolve(size: Size, radius: float | tuple[float, float], *, must_hold: bool) -> tuple[int, int]:
    """The size `(kh, kw)` asked for, or the smallest odd one that holds what reaches `radius` pixels to all sides.

    Parameters
    ----------
    size : int, pair of int or None
        What is asked for.
    radius : float or pair of float
        Half the extent, measured from the middle of the central pixel; a pair for rows and columns.
    must_hold : bool
        A shape with an end does not fit into less than its size; one that decays may be cut anywhere.
    """
    reach = (radius, radius) if isinstance(radius, int | float) else radius
    # A pixel reaches half a pixel: 0.5 fills the central one alone. The slack absorbs rounding in, say, 7.5.
    rows, columns = (2 * max(0, math.ceil(r - 0.5 - 1e-9)) + 1 for r in reach)
    sides = (rows, columns) if size is None else pair_of_sizes(size, name="size")
    check_size(sides)
    if must_hold and (_odd(sides[0]) < rows or _odd(sides[1]) < columns):
        raise ValueError(f"size: {sides} is too small, this psf needs at least {(rows, columns)}")
    return sides


def offsets(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Rows `(h, 1)` and columns `(1, w)` from the centre, float64, of the largest odd size in `size`."""
    row, column = (torch.arange(_odd(s), dtype=torch.float64) - _odd(s) // 2 for s in size)
    return row[:, None], column[None, :]


def finish(values: Tensor, size: tuple[int, ...]) -> Tensor:
    """Centre `values` (odd sizes) in an array of `size`, scale to sum 1, round to float32.

    An even size is the odd one below it with a row of zeros at its end: the centre is at ``(s - 1) // 2`` in
    both, and nothing moves by half a pixel.
    """
    pad = []
    for s, n in zip(reversed(size), reversed(values.shape), strict=True):
        before = (s - 1) // 2 - n // 2
        pad += [before, s - n - before]
    values = F.pad(values, pad)
    return (values / values.sum()).float()


def positive(**arguments: float) -> None:
    """Raise the ValueError that names the first argument which is not a positive, finite number."""
    for name, value in arguments.items():
        if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a positive number, given {value!r}")


def _odd(side: int) -> int:
    return side - 1 + side % 2
