"""Ctrl-C and being told to stop, at any moment: also while libraries are imported."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["watched_interrupts"]

_TERMINATED = 128 + signal.SIGTERM


@contextmanager
def watched_interrupts() -> Iterator[Callable[[], bool]]:
    """Tell of an interrupt from the keyboard whatever becomes of its exception; end on SIGTERM by an exception, too.

    Compiled modules that are being imported may turn `KeyboardInterrupt` into an `ImportError`; in a callback nobody
    can catch it, so it is raised again outside. The exception for SIGTERM removes unfinished files on its way.

    Yields
    ------
    callable
        ``interrupted() -> bool``.
    """
    seen = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen = True
        raise KeyboardInterrupt

    def terminate(number: int, frame: FrameType | None) -> None:
        raise SystemExit(_TERMINATED)

    def unraisable(failure: Any) -> None:
        if isinstance(failure.exc_value, KeyboardInterrupt):
            again = threading.Timer(0.01, _interrupt_main)  # at once it would still be inside of the callback
            again.daemon = True
            again.start()
        else:
            former_hook(failure)

    former_hook, sys.unraisablehook = sys.unraisablehook, unraisable
    former = {}
    if threading.current_thread() is threading.main_thread():  # others cannot set handlers, nor be interrupted
        for number, handler in ((signal.SIGINT, interrupt), (signal.SIGTERM, terminate)):
            if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
                former[number] = signal.signal(number, handler)
    try:
        yield lambda: seen
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        sys.unraisablehook = former_hook


def _interrupt_main() -> None:
    if hasattr(signal, "pthread_kill"):  # it also ends a wait of the system
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
