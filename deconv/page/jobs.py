"""Jobs, done one after the other in the order in which they were asked for; each may be cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .worker import Failed, Stopped, Worker

__all__ = ["Job", "Jobs"]

# A share of the work from which on the time that is left is told.
_TELLING = 0.03


@dataclass
class Job:
    """Something that is to be done to a picture.

    Attributes
    ----------
    task : str
        Its name.
    arguments : tuple
        What the task is called with.
    state : {"waiting", "running", "done", "failed", "cancelled"}
        Where it is.
    title : str
        What is being done just now.
    share : float
        How much of that is done, 0 to 1.
    message : str
        Why it failed.
    result : Any
        What the task returned.
    """

    task: str
    arguments: tuple[Any, ...] = ()
    state: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    title: str = ""
    share: float = 0.0
    message: str = ""
    result: Any = None
    _since: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def seconds_left(self) -> float | None:
        """Until what is being done just now is done, by the time it has taken; None where that cannot be said."""
        if self.state != "running" or self.share < _TELLING:
            return None
        return (time.monotonic() - self._since) * (1 - self.share) / self.share

    def tell(self, title: str, share: float) -> None:
        """So much of it is done."""
        if title != self.title or share < self.share:
            self._since = time.monotonic()
        self.title, self.share = title, share


class Jobs:
    """The jobs that wait, and the one that is being done.

    Parameters
    ----------
    worker : Worker
        Does them.
    changed : callable
        Called, from another thread, as ``changed(job)`` when something about a job is new.
    """

    def __init__(self, worker: Worker, changed: Callable[[Job], None]) -> None:
        self._worker, self._changed = worker, changed
        self._waiting: list[Job] = []
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="deconv jobs", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Do it when those before it are done."""
        with self._news:
            self._waiting.append(job)
            self._news.notify()
        self._changed(job)

    def cancel(self, job: Job) -> None:
        """Take it from the queue, or stop it at once; one that has ended stays what it is."""
        with self._news:
            if job.ended:
                return
            running = job.state == "running"
            job.state = "cancelled"
            if running:
                self._worker.stop()
            else:
                self._waiting.remove(job)
        self._changed(job)

    def close(self) -> None:
        """Stop what is being done and start nothing more."""
        with self._news:
            self._closed = True
            self._waiting.clear()
            self._worker.stop()
            self._news.notify()
        self._thread.join()
        self._worker.stop()  # started meanwhile, perhaps

    def _work(self) -> None:
        self._worker.start()
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._waiting.pop(0)
                job.state = "running"
            self._changed(job)
            self._do(job)

    def _do(self, job: Job) -> None:
        def told(title: str, share: float) -> None:
            job.tell(title, share)
            self._changed(job)

        state, message, result = "done", "", None
        try:
            result = self._worker.run(job.task, job.arguments, told)
        except Failed as failure:
            state, message = "failed", str(failure)
        except Stopped:
            state, message = "failed", "the work ended by itself; perhaps there was too little memory"
        with self._news:
            if self._closed:
                return
            if job.state == "cancelled":
                self._worker.start()  # ready for the next one
                return
            job.state, job.message, job.result = state, message, result
        self._changed(job)
