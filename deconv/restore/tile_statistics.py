"""What all tiles of an image are to agree on: its statistics, and whether its colours are restored as opponent ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..imaging.srgb import to_linear
from .algorithms.richardson_lucy import contour_limit
from .arguments import as_psfs
from .colours import MIDDLE, central_span, go_together, may_go_together, split
from .filling import fill
from .held_out_weight import liveliest, piece_sides
from .methods import Method
from .problem import Problem
from .psf_error import SIDE, with_psf_error
from .psf_field import PsfField
from .statistics import Statistics
from .streaming_statistics import read_piece, streaming_statistics
from .tile_overlap import usual_iterations

__all__ = ["of_all_tiles", "with_held_out"]


def of_all_tiles(
    method: Method,
    image: Any,
    axes: Sequence[int],
    field: PsfField,
    *,
    mask: Any,
    sigma: Any,
    colours: bool | None,
    statistics: Statistics | None,
    options: Mapping[str, Any],
    **layout: Any,
) -> tuple[bool, Statistics]:
    """Whether the colours of an image go together, and its statistics.

    Parameters
    ----------
    method : Method
        That restores the tiles.
    image, axes, mask, sigma, **layout
        As for `streaming_statistics`.
    field : PsfField
        The psf at every place.
    colours, statistics
        As they were told, or None.
    options : mapping
        The method's own keywords.

    Returns
    -------
    colours : bool
        False also where a method knows nothing of colours.
    statistics : Statistics
        Of the channels, or of the opponent colours.
    """
    linear = bool(options.get("linear"))
    lengths = [image.shape[axis] for axis in axes]
    psf = field([(n - 1) / 2 for n in lengths], lengths)

    def middle(side: int) -> Any:
        return read_piece(image, axes, psf, [central_span(n, side) for n in lengths], mask=mask, **layout)

    if colours is None:
        piece, _, pixels, ends = middle(MIDDLE)
        numbers = [options.get(name) for name in (*(method.learnable or ()), "denoiser")]
        colours = method.opponents and may_go_together(piece, psf, numbers)
        colours = colours and go_together(piece, max(psf.shape[-2:]), ends, pixels)
    decide = {"mask": mask, "options": options, **layout}
    if statistics is not None:
        return colours, with_held_out(statistics, method, image, axes, field, **decide)
    light = {"linear": linear, "colours": colours}
    statistics = streaming_statistics(image, axes, psf, mask=mask, sigma=sigma, **light, **layout)
    if method.psf_error and sigma is None and len(axes) == 2:
        piece, _, pixels, ends = middle(SIDE)
        piece = to_linear(piece) if linear else piece
        if colours:
            piece = split(piece).reshape(piece.shape)
            ends = None if ends is None else (ends != 0).any(1, keepdim=True)
        statistics = with_psf_error(statistics, piece, as_psfs(psf, piece), mask=pixels, clipped=ends)
    return colours, with_held_out(statistics, method, image, axes, field, **decide)


def with_held_out(
    statistics: Statistics,
    method: Method,
    image: Any,
    axes: Sequence[int],
    field: PsfField,
    *,
    mask: Any,
    options: Mapping[str, Any],
    **layout: Any,
) -> Statistics:
    """Statistics with what a method decides by held-out voxels, decided once on a piece of the whole.

    Parameters
    ----------
    statistics : Statistics
        Of all tiles; what they say is decided stays so.
    method, image, axes, field, mask, options, **layout
        As for `of_all_tiles`.
    """
    told = [options.get(name) is not None for name in ("tv", "stop")]
    if not method.held_out or len(axes) != 3 or statistics.contour_limit is not None or any(told):
        return statistics
    lengths = [image.shape[axis] for axis in axes]
    linear = bool(options.get("linear"))

    def read(span: Sequence[tuple[int, int]]) -> tuple[Tensor, Any, Tensor | None, Tensor | None]:
        psf = field([(a + b - 1) / 2 for a, b in span], lengths)
        values, _, pixels, clipped = read_piece(image, axes, psf, span, mask=mask, **layout)
        return to_linear(values) if linear else values, psf, pixels, clipped

    def rows(start: int, stop: int) -> Tensor:
        values, _, pixels, _ = read([(start, stop), *((0, n) for n in lengths[1:])])
        return values if pixels is None else fill(values, pixels)

    steps = {name: options[name] for name in ("accelerate", "damping") if name in options}
    limits: dict[Any, Tensor] = {}
    spans = liveliest(rows, lengths, piece_sides(lengths, field.size(lengths)))
    for span in dict.fromkeys(spans):
        values, psf, pixels, clipped = read(span)
        problem = Problem.of(
            values,
            as_psfs(psf, values),
            num_iter=options.get("num_iter", usual_iterations(method)),
            mask=pixels,
            clipped=clipped,
            statistics=statistics,
            apart=False,
        )
        floor = problem.per_channel(options.get("background", 0.0), name="background")
        limits[span] = contour_limit(problem, floor, **steps)
    chosen = torch.stack([limits[span].flatten()[plane] for plane, span in enumerate(spans)])
    return replace(statistics, contour_limit=chosen.reshape(limits[spans[0]].shape))
