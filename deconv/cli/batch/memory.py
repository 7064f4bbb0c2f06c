"""How many pictures fit into memory at once."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path

__all__ = ["available_memory", "needed_memory"]

# Bytes of a process that has read nothing yet, and for every pixel of the picture in work: 12 megapixels in colour,
# with their psf estimated, took 6.1 GB at the peak.
_PROCESS, _PIXEL = 500e6, 550.0

# What is left to other programs.
_SHARE = 0.8


def available_memory() -> float:
    """Bytes that may be taken, without what others need; infinite where the system does not tell."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * float(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):  # a container's limit; "max" is none
        group = Path("/sys/fs/cgroup")
        limit = float((group / "memory.max").read_text())
        found.append(limit - float((group / "memory.current").read_text()))
    if not found:
        with suppress(AttributeError, ValueError, OSError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2)
    return _SHARE * min(found, default=float("inf"))


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
