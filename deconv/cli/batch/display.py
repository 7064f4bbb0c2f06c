"""One display for all pictures: how many are done, what is in work, the time left."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from datetime import timedelta

import typer

from ..outcome import FAILED, LEFT, Outcome
from .files import Job

__all__ = ["Display"]


class Display(AbstractContextManager):
    """A bar for all pictures and a line for each that is in work, on a terminal.

    Parameters
    ----------
    title : str
        What is being done.
    jobs : list of Job
        All of them; the time left goes by the sizes of their files.
    shown : bool or None
        None: on a terminal.
    """

    def __init__(self, title: str, jobs: list[Job], *, shown: bool | None = None) -> None:
        self._sizes = {job: max(job.source.stat().st_size, 1) for job in jobs}
        self._done, self._count, self._started = 0.0, 0, time.monotonic()
        self._lines = {}
        self._progress = None
        if shown is False or (shown is None and not sys.stderr.isatty()):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[text]}"))
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._all = self._progress.add_task(title, total=len(jobs), text=f"0 of {len(jobs)}")

    def __enter__(self) -> Display:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def stage(self, job: Job, name: str, share: float) -> None:
        """A picture is in this stage, of which so much is done."""
        if self._progress is None:
            return
        if job not in self._lines:
            self._lines[job] = self._progress.add_task(f"  {job.source.name}", total=1.0, text=name)
        self._progress.update(self._lines[job], completed=share, text=name)

    def end(self, job: Job, outcome: Outcome, remarks: list[str]) -> None:
        """A picture is done."""
        self._done += self._sizes[job]
        self._count += 1
        for remark in remarks:
            self._say(f"{job.source}: {remark}")
        if outcome.what in (FAILED, LEFT):
            known = not outcome.words.startswith(str(job.source))
            self._say(f"{job.source}: {outcome.words}" if known else outcome.words)
        if self._progress is not None:
            if (line := self._lines.pop(job, None)) is not None:
                self._progress.remove_task(line)
            left = (time.monotonic() - self._started) * (sum(self._sizes.values()) / self._done - 1)
            text = f"{self._count} of {len(self._sizes)}, {timedelta(seconds=round(left))} left"
            self._progress.update(self._all, completed=self._count, text=text)

    def _say(self, line: str) -> None:
        if self._progress is None:
            typer.echo(f"deconv: {line}", err=True)
        else:
            self._progress.console.print(f"deconv: {line}", highlight=False, soft_wrap=True, markup=False)
