"""What all tiles of an image are to agree on: its statistics, and whether its colours are restored as opponent ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..imaging.srgb import to_linear
from .arguments import as_psfs
from .colours import go_together, may_go_together, split
from .methods import Method
from .psf_error import SIDE, with_psf_error
from .statistics import Statistics
from .streaming_statistics import read_piece, streaming_statistics

__all__ = ["of_all_tiles"]

# Pixels along each axis of the middle by which it is decided whether colours go together.
_MIDDLE = 1024


def of_all_tiles(
    method: Method,
    image: Any,
    axes: Sequence[int],
    psf: Any,
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
    image, axes, psf, mask, sigma, **layout
        As for `streaming_statistics`.
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

    def middle(side: int) -> Any:
        lengths = [image.shape[axis] for axis in axes]
        span = [(max(n - side, 0) // 2, max(n - side, 0) // 2 + min(n, side)) for n in lengths]
        return read_piece(image, axes, psf, span, mask=mask, **layout)

    if colours is None:
        piece, _, pixels, ends = middle(_MIDDLE)
        numbers = [options.get(name) for name in (*(method.learnable or ()), "denoiser")]
        colours = method.opponents and may_go_together(piece, psf, numbers) and go_together(piece, ends, pixels)
    if statistics is not None:
        return colours, statistics
    light = {"linear": linear, "colours": colours}
    statistics = streaming_statistics(image, axes, psf, mask=mask, sigma=sigma, **light, **layout)
    if method.psf_error and sigma is None and len(axes) == 2:
        piece, _, pixels, ends = middle(SIDE)
        piece = to_linear(piece) if linear else piece
        if colours:
            piece = split(piece).reshape(piece.shape)
            ends = None if ends is None else (ends != 0).any(1, keepdim=True)
        statistics = with_psf_error(statistics, piece, as_psfs(psf, piece), mask=pixels, clipped=ends)
    return colours, statistics
