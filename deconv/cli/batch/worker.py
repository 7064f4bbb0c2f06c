"""What runs in each process: picture after picture, until there is none."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from typing import Any

from ...failures import foreseen, message_of
from ...own_process import own_process
from ...progress import heard_by
from ..outcome import FAILED, Outcome
from .files import Job

__all__ = ["serve"]

# Seconds between two words on the progress of one stage.
_PAUSE = 0.1


def serve(pipe: Connection, single: Callable[..., Outcome], options: Any, threads: int) -> None:
    """Take jobs from `pipe`, and send back what has become of them, until None comes.

    Parameters
    ----------
    pipe : Connection
        Jobs come in; out go pairs of a stage and the share of it that is done, and an `Outcome` with a list of remarks
        at the end of each.
    single : callable
        ``single(source, output, options) -> Outcome``.
    options : object
        The same for all pictures.
    threads : int
        How many a process may use.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells all processes; the first one ends the others
    signal.signal(signal.SIGTERM, _terminate)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):  # before torch and numba look
        os.environ.setdefault(name, str(threads))
    own_process()
    try:
        while (job := pipe.recv()) is not None:
            pipe.send(_done(pipe, single, job, options))
    except (EOFError, OSError):  # nobody is there any more
        return


def _terminate(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)  # unfinished files are removed on its way


def _done(pipe: Connection, single: Callable[..., Outcome], job: Job, options: Any) -> tuple[Outcome, list[str]]:
    last, told = -1.0, ""

    def tell(stage: str, share: float) -> None:
        nonlocal last, told
        if stage != told or time.monotonic() - last > _PAUSE:
            pipe.send((stage, share))
            last, told = time.monotonic(), stage

    started, said = time.perf_counter(), io.StringIO()
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        with redirect_stderr(said), redirect_stdout(io.StringIO()), heard_by(tell):
            outcome = single(job.source, job.output, options)
    except Exception as error:  # whatever it is, the others are to be done
        words = message_of(error) if foreseen(error) else f"{type(error).__name__}: {message_of(error)}"
        outcome = Outcome(FAILED, words, seconds=time.perf_counter() - started)
    return outcome, [line.removeprefix("deconv: ") for line in said.getvalue().splitlines()]
