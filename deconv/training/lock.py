"""One training run at a time in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["folder_lock"]

_NAME = ".lock"

# A child that was forked must not hold on to the locks of a parent that is killed.
_descriptors: set[int] = set()


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, or refuse.

    The operating system releases it when the process ends, however it ends. The file ``.lock`` stays and means nothing
    by itself: removing it would let two processes hold two files of one name. Where the file system knows no locks,
    nothing is locked.

    Parameters
    ----------
    folder : Path
        It exists.

    Raises
    ------
    FileExistsError
        Another run has the lock.
    """
    descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o666)
    _descriptors.add(descriptor)
    try:
        if not _try_lock(descriptor):
            raise FileExistsError(f"{folder}: another training run is writing to it")
        yield
    finally:
        _descriptors.discard(descriptor)
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        """Whether this process has the lock now."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        """Whether this process has the lock now."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # the file system knows no locks
            pass
        return True

    def _close_in_child() -> None:
        for descriptor in _descriptors:
            os.close(descriptor)
        _descriptors.clear()

    os.register_at_fork(after_in_child=_close_in_child)
