"""GIF, read only: its first frame."""

from __future__ import annotations

from ..picture import Picture
from .pillow import decode_with_pillow

__all__ = ["decode"]


def decode(data: bytes, max_pixels: int) -> Picture:
    """The first picture in the file."""
    return decode_with_pillow(data, "GIF", max_pixels, first=True)
