"""A process that runs tasks one after the other, tells how far they are, and can be stopped in the midst of one."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..failures import foreseen, message_of
from ..progress import heard_by

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["Failed", "Stopped", "Tasks", "Worker"]

Tasks = Mapping[str, Callable[..., Any]]

# Seconds from one word on the progress of one stage to the next.
_PAUSE = 0.1


class Failed(Exception):
    """A task raised; the message says what."""


class Stopped(Exception):
    """The process ended in the midst of a task."""


class Worker:
    """A process, started when it is needed, and again after it was stopped.

    Parameters
    ----------
    tasks : mapping
        Functions of modules, by name.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = dict(tasks)
        # Of which classes depends on the system.
        self._process: Any = None
        self._connection: Any = None
        self._lock = threading.Lock()  # a process that is being started cannot be stopped

    def start(self) -> None:
        """Have the process ready: it imports the tasks while nobody waits for it."""
        with self._lock:
            if self._process is not None and self._process.is_alive():
                return
            if self._connection is not None:
                self._connection.close()
            context = multiprocessing.get_context("spawn")  # a fork would share the threads' locks
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self._tasks), daemon=True)
            self._process.start()
            theirs.close()

    def run(self, name: str, arguments: tuple[Any, ...], told: Callable[[str, float], None]) -> Any:
        """What the task of this name returns.

        Parameters
        ----------
        name : str
            Of the task.
        arguments : tuple
            What it is called with.
        told : callable
            Called as ``told(title, share)`` with what is being done and the share of it that is done.

        Raises
        ------
        Failed
            The task raised.
        Stopped
            The process was stopped, or died.
        """
        self.start()
        connection = self._connection
        try:
            connection.send((name, arguments))
            while True:
                kind, value = connection.recv()
                if kind == "progress":
                    told(*value)
                elif kind == "failed":
                    raise Failed(value)
                else:
                    return value
        except (EOFError, OSError):
            self.stop()
            raise Stopped from None

    def stop(self) -> None:
        """End the process at once, whatever it does; from any thread."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.join()


def _serve(connection: Connection, tasks: Tasks) -> None:
    """The process's own loop, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page, which then ends this
    last, told = 0.0, ""

    def tell(title: str, share: float) -> None:
        nonlocal last, told
        if title != told or time.monotonic() - last > _PAUSE:
            last, told = time.monotonic(), title
            connection.send(("progress", (title, share)))

    while True:
        try:
            name, arguments = connection.recv()
        except (EOFError, OSError):
            return
        last = 0.0
        try:
            with heard_by(tell):
                answer = ("done", tasks[name](*arguments))
        except Exception as error:
            if foreseen(error):
                answer = ("failed", message_of(error))
            else:
                traceback.print_exc()
                answer = ("failed", f"{type(error).__name__}: {message_of(error)}")
        connection.send(answer)
