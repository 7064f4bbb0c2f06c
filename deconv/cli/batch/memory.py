"""How much memory the work on a picture takes."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path

__all__ = ["needed_memory"]

# Bytes of a process that has read nothing yet, and for every pixel of the picture in work: 12 megapixels in colour,
# with their psf estimated, took 6.1 GB at the peak.
_PROCESS, _PIXEL = 500e6, 550.0


def needed_memory(path: Path) -> float:
    """Bytes that the work on a picture takes at its peak, by the size that its file declares."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                pixels = image.width * image.height
    except Exception:  # of another kind, or damaged, which its turn will tell
        with suppress(OSError):
            return _PROCESS + _PIXEL * path.stat().st_size
        return _PROCESS
    return _PROCESS + _PIXEL * pixels
