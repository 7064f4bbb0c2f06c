"""Whether a picture's colours are restored together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .methods import Choice
    from .source import Source

__all__ = ["restored_together"]


def restored_together(chosen: Choice, source: Source, psf: Tensor, *, clipped: bool = True) -> bool:
    """By the middle of the picture, so that any piece of it is restored as the whole is.

    The errors of a coder are much the same in all colours: opponent ones gain nothing from its pictures.

    Parameters
    ----------
    chosen : Choice
        The method.
    source, psf
        The picture, and the psf.
    clipped : bool
        Whether its white counts as white or more.
    """
    from ..imaging.clipping import clipped_ends
    from ..restore.colours import central_span, go_together, may_go_together

    if not chosen.method.opponents or not may_go_together(source.batch, psf):
        return False
    if source.picture is not None and source.picture.loss:
        return False
    rows, columns = (slice(*central_span(n)) for n in source.batch.shape[2:])
    middle = source.batch[..., rows, columns]
    known = clipped and source.clipped_at is not None
    ends = clipped_ends(middle, white=source.clipped_at) if known else None
    return go_together(
        middle, max(psf.shape[-2:]), ends, None if source.known is None else source.known[..., rows, columns]
    )
