"""How much memory is free, and how much this process has."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

__all__ = ["free_memory", "resident_bytes"]


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
