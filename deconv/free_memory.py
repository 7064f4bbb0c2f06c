"""How much memory is free, how much this process has, keeping it for the next buffers, and giving it back."""

from __future__ import annotations

import ctypes
import math
import os
import re
from contextlib import suppress
from pathlib import Path

__all__ = ["free_memory", "give_back_freed_memory", "keep_freed_memory", "resident_bytes"]

# Of mallopt(3), in glibc.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def free_memory() -> float:
    """Bytes that are free on the machine, and in the control group of a container or a batch system."""
    return min(_free_on_the_machine(), _free_in_the_group())


def resident_bytes() -> int:
    """Memory that this process has now; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed buffers for the next ones until it ends.

    The C library of Linux gives buffers of more than 32 MB back at once, and the system clears every page of the next
    one, which takes as long as all the arithmetic on a large image. For a process of our own: there is no way back.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, -1)


def give_back_freed_memory() -> None:
    """Give the system the memory of freed buffers back, also of those that lie between others.

    Next come buffers of other sizes, which do not fit into the gaps that the last ones have left: what is kept for them
    grows with every size.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _free_on_the_machine() -> float:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        text = ""
    if match := re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE):
        return int(match[1]) * 1024
    try:  # where nobody tells what is free, half of what there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    except (AttributeError, OSError, ValueError):
        return 4 * 2**30


def _free_in_the_group() -> float:
    """What the control group of a container or a batch system leaves."""
    free = math.inf
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            texts = [Path("/sys/fs/cgroup", name).read_text().strip() for name in (limit, used)]
        except OSError:
            continue
        if all(text.isdigit() for text in texts):
            free = min(free, int(texts[0]) - int(texts[1]))
    return max(free, 0)
