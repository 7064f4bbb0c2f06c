"""What a process of our own may do and a library may not: wait without working, keep memory, end without tidying up."""

from __future__ import annotations

import atexit
import gc
import os

from .free_memory import keep_freed_memory

__all__ = ["own_process"]

# New objects after which garbage is looked for among the young, and of how many such turns among the old. Importing
# torch makes half a million that stay: with Python's own 700, 10 and 10 they are looked through again and again.
_THRESHOLDS = 10_000, 10, 1000


def own_process() -> None:
    """Make this process, which does nothing but our work, quicker from here to its end. There is no way back.

    To be called before torch is imported.

    A thread that waits for the others of its team works on at nothing, for milliseconds: where another program has one
    of the cores, that is most of the time of all of them. Asleep it is back within microseconds.

    Python takes apart all that was imported when it ends, by looking for garbage in it; with torch that takes half as
    long as the import. The system takes the memory back at once.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_freed_memory()
    gc.set_threshold(*_THRESHOLDS)
    atexit.register(gc.freeze)
