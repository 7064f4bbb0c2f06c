"""A psf that is given as a function of the place, on a grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..foreign_arrays import as_tensor
from .psf_components import PsfComponents
from .psf_field import PsfField

__all__ = ["components_of", "sampled"]

# Psfs along an axis: at first, and at most.
_FIRST, _MOST = 3, 33

# The light that may be in the wrong place half way between two psfs, as a part of all.
_TOLERANCE = 0.03


def components_of(field: Any) -> tuple[Tensor, Callable[[Sequence[int]], PsfComponents]]:
    """A psf of the field, the sharpest of a grid, and what makes the components when the frame's size is known.

    Parameters
    ----------
    field : array, Tensor or callable
        A grid of psfs, or a function of the place.
    """
    if callable(field) and not hasattr(field, "ndim"):
        function = PsfField(field)
        return function([0.0] * function.space, ()), lambda frame: PsfComponents.of(
            sampled(function, frame), to_border=True
        )
    grid = PsfComponents.of(field)
    return grid.sharpest, lambda frame: grid


def sampled(field: PsfField, frame: Sequence[int]) -> Tensor:
    """The psfs on a grid from one border of the frame to the other, so many that they are linear between them.

    Half way between two neighbours along an axis, no more than 3 % of the light of the psf is not where their mean has
    it; else the distance along that axis is halved.

    Parameters
    ----------
    field : PsfField
        Of a function, which is asked for one place after another.
    frame : sequence of int
        Size of the image along the spatial axes.

    Returns
    -------
    Tensor
        `(gy, gx, kh, kw)` or `(gz, gy, gx, kd, kh, kw)`, the outermost at the outermost pixels.

    Raises
    ------
    ValueError
        Psfs of different sizes, or one that changes too fast.
    """
    space = len(frame)
    known: dict[tuple[float, ...], Tensor] = {}

    def psf(place: tuple[float, ...]) -> Tensor:
        if place not in known:
            known[place] = as_tensor(field(place, frame), name="psf_field")[0].double()
            first = next(iter(known.values())).shape
            if len(first) != space or known[place].shape != first:
                raise ValueError(
                    f"psf_field: expected a function that gives psfs of {space} axes and one size, given the shapes "
                    f"{tuple(first)} and {tuple(known[place].shape)}"
                )
        return known[place]

    counts = [min(_FIRST, n) for n in frame]
    while True:
        places = [
            [i * (n - 1) / max(count - 1, 1) for i in range(count)] for n, count in zip(frame, counts, strict=True)
        ]
        uneven = [axis for axis in range(space) if not _linear(psf, places, axis)]
        if not uneven:
            grid = torch.stack([psf(place) for place in itertools.product(*places)])
            return grid.reshape(*counts, *grid.shape[1:])
        for axis in uneven:
            if counts[axis] == min(_MOST, frame[axis]):
                raise ValueError(
                    f"psf_field: the psf changes too fast along axis {axis} for {counts[axis]} of them; restore tiles, "
                    "each with its own psf: deconv.restore.tiled"
                )
            counts[axis] = min(2 * counts[axis] - 1, _MOST, frame[axis])


def _linear(psf: Callable[[tuple[float, ...]], Tensor], grid: list[list[float]], axis: int) -> bool:
    """Whether half way between neighbours along an axis the psf is about their mean."""
    others = [places if number != axis else [0.0] for number, places in enumerate(grid)]
    for place in itertools.product(*others):
        for pair in itertools.pairwise(grid[axis]):
            before, after, between = (
                psf((*place[:axis], along, *place[axis + 1 :])) for along in (*pair, sum(pair) / 2)
            )
            if float((between - (before + after) / 2).abs().sum()) > _TOLERANCE * float(between.abs().sum()):
                return False
    return True
