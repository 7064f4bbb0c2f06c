"""What compiled decoders print to standard error by themselves, past Python."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_decoders"]

_STDERR = 2

_lock = threading.Lock()
_inside = 0
_kept = -1


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Send the process's standard error nowhere, until the last thread has left.

    libtiff and OpenCV have no other way to be told. It is a few milliseconds for a picture; Python's own messages are
    lost in them, too.

    Yields
    ------
    None
    """
    global _inside, _kept
    with _lock:
        if _inside == 0:
            _kept = _redirect(os.devnull)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _kept >= 0:
                os.dup2(_kept, _STDERR)
                os.close(_kept)


def _redirect(path: str) -> int:
    """What standard error was; -1 where the process has none."""
    try:
        kept = os.dup(_STDERR)
    except OSError:
        return -1
    target = os.open(path, os.O_WRONLY)
    os.dup2(target, _STDERR)
    os.close(target)
    return kept
