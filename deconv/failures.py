"""Foreseeable failures in one line."""

from __future__ import annotations

import re

__all__ = ["FORESEEN", "foreseen", "message_of"]

FORESEEN = (ValueError, TypeError, OSError, FloatingPointError, MemoryError, ImportError)

# How torch says that there is no memory: RuntimeError, or a subclass of it that is not in every version.
_NO_MEMORY = re.compile(r"out of memory|DefaultCPUAllocator|_ALLOC_FAILED")
_SIZE = re.compile(r"allocate (\d+ bytes|[\d.]+ [KMGT]iB)")


def foreseen(error: Exception) -> bool:
    """Whether it comes from what was given or from the machine, and not from a fault of ours."""
    return isinstance(error, FORESEEN) or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))


def message_of(error: Exception) -> str:
    """What to say of it, on one line."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError | RuntimeError) and foreseen(error):
        size = _SIZE.search(text)
        return "out of memory" + (f": {size[1]} could not be allocated" if size else "")
    return text or type(error).__name__
