"""The light that a picture was blurred in: what a lens blurs, or the values in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .blurs import Blur
    from .source import Source

__all__ = ["asked_light", "frames_in_light", "in_light"]


def asked_light(source: Source, linear: bool | None) -> bool | None:
    """What was asked for; of raw photographs, which are light, linear light."""
    return True if linear is None and source.picture is not None and source.picture.raw else linear


def in_light(source: Source, blur: Blur, *, progress: bool | None = None) -> bool:
    """Whether a known psf has blurred the light of a picture, by what the picture shows."""
    return frames_in_light([source], [blur], progress=progress)


def frames_in_light(frames: Sequence[Source], blurs: Sequence[Blur], *, progress: bool | None = None) -> bool:
    """`in_light` for frames of one latent image, which are in one light: by what all of them show."""
    from ..blind.light import made_in_light

    if not all(frame.photograph and blur.psf.ndim == 2 for frame, blur in zip(frames, blurs, strict=True)):
        return False
    psfs = [blur.psf.to(frames[0].batch.device) for blur in blurs]
    return made_in_light(
        [frame.batch for frame in frames],
        psfs,
        mask=[frame.known for frame in frames],
        camera=all(frame.camera for frame in frames),
        progress=progress,
    )
