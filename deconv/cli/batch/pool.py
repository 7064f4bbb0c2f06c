"""Processes that each work on one picture at a time. One that dies takes only its picture along."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from ...free_memory import free_memory
from ..outcome import FAILED, Outcome
from .files import Job
from .memory import needed_memory
from .worker import serve

__all__ = ["work_through"]

# Seconds that a process has to remove its unfinished files before it is killed, and to end when there is no more to do.
_GRACE, _FAREWELL = 1.0, 5.0

# The share of the free memory that they take.
_SHARE = 0.8


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: Job | None = None
    memory: float = 0.0


def work_through(
    jobs: Sequence[Job], single: Callable[..., Outcome], options: Any, *, processes: int, threads: int
) -> Iterator[tuple[Job, tuple[str, float] | tuple[Outcome, list[str]]]]:
    """Do all jobs, so many at a time and no more than fit into memory, in processes of their own.

    Parameters
    ----------
    jobs : sequence of Job
        In the order in which they begin.
    single, options, threads
        See `deconv.cli.batch.worker.serve`; `single` is found by its name in the processes.
    processes : int
        At most; they are started when there is something to do for them.

    Yields
    ------
    tuple
        The job, and the stage it is in with the share of it that is done, or its outcome with a list of remarks.
        Whatever ends the iteration ends the processes within two seconds, and removes what they have not finished.
    """
    waiting, workers = deque(jobs), []
    most = _SHARE * free_memory()
    try:
        while waiting or any(worker.job for worker in workers):
            while waiting:
                idle = next((worker for worker in workers if worker.job is None), None)
                # What a process was given once it keeps.
                need = max(needed_memory(waiting[0].source), idle.memory if idle else 0.0)
                taken = sum(worker.memory for worker in workers if worker is not idle)
                busy = any(worker.job for worker in workers)
                if (idle is None and len(workers) >= processes) or (busy and taken + need > most):
                    break
                if idle is None:
                    idle = _start(single, options, threads)
                    workers.append(idle)
                idle.job, idle.memory = waiting.popleft(), need
                with suppress(OSError):  # it has died, which is seen below
                    idle.pipe.send(idle.job)
                yield idle.job, ("starting", 0.0)
            by_pipe = {worker.pipe: worker for worker in workers if worker.job}
            for pipe in wait(list(by_pipe)):
                worker = by_pipe[pipe]
                job = worker.job
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    workers.remove(worker)
                    message = Outcome(FAILED, _why_dead(worker)), []
                if isinstance(message[0], Outcome):
                    worker.job = None
                yield job, message
        for worker in workers:
            with suppress(OSError):
                worker.pipe.send(None)
        deadline = time.monotonic() + _FAREWELL
        for worker in workers:
            worker.process.join(max(deadline - time.monotonic(), 0))
    finally:
        _stop(workers)


def _start(single: Callable[..., Outcome], options: Any, threads: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, single, options, threads), daemon=True)
    with _deaf_to_interrupts():
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that are started in here never hear an interrupt from the keyboard; this one hears it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _why_dead(worker: _Worker) -> str:
    worker.process.join(_GRACE)
    status = worker.process.exitcode
    if status == -getattr(signal, "SIGKILL", 9):
        return "its process was killed, for want of memory probably; --jobs 1 takes less"
    return f"its process has died (exit status {status})"


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        if worker.process.is_alive():
            worker.process.terminate()
    deadline = time.monotonic() + _GRACE
    for worker in workers:
        worker.process.join(max(deadline - time.monotonic(), 0))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()
        if worker.job is not None:
            for unfinished in worker.job.output.parent.glob(f".*.{worker.process.pid}.part"):
                with suppress(OSError):
                    unfinished.unlink()
    sys.stderr.flush()
