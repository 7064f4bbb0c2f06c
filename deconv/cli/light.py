"""The light that a picture was blurred in: what a lens blurs, or the values in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blurs import Blur
    from .source import Source

__all__ = ["asked_light", "in_light"]


def asked_light(source: Source, linear: bool | None) -> bool | None:
    """What was asked for; of raw photographs, which are light, linear light."""
    return True if linear is None and source.picture is not None and source.picture.raw else linear


def in_light(source: Source, blur: Blur) -> bool:
    """Whether a known psf has blurred the light of a picture, by what the picture shows."""
    from ..blind.light import made_in_light

    if not source.photograph or blur.psf.ndim != 2:
        return False
    return made_in_light(source.batch, blur.psf.to(source.batch.device))
