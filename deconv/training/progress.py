"""What a training run says while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager

from .settings import Settings, share_done

__all__ = ["Reporter", "clock_time"]

_SMOOTHING = 0.02


class Reporter(AbstractContextManager):
    """A bar with figure, images per second and time left on a terminal; a line for each evaluation anywhere.

    shown: None: on standard error; False: nothing. figure: the name of what is minimised.
    """

    def __init__(self, settings: Settings, figure: str, *, first_step: int, shown: bool | None) -> None:
        self.settings, self.figure = settings, figure
        self.console = self.bar = None
        self.smooth: float | None = None
        self.begun, self.first_step = time.monotonic(), first_step
        if shown is False:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[words]}"))
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task("", total=1.0, words="")

    def __enter__(self) -> Reporter:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *failure: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def step(self, step: int, seconds: float, loss: float) -> None:
        """After each step: how many there were, the seconds of training, the figure of the batch."""
        if self.bar is None:
            return
        self.smooth = loss if self.smooth is None else self.smooth + _SMOOTHING * (loss - self.smooth)
        pace = (time.monotonic() - self.begun) / (step - self.first_step)
        left = pace * (self.settings.steps - step)
        if self.settings.time_limit is not None:
            left = min(left, max(0.0, self.settings.time_limit - seconds))
        speed = self.settings.batch_size / pace
        words = f"{self.smooth:.3f} {self.figure}  {speed:,.0f} images/s  {clock_time(left)} left"
        done = share_done(self.settings, step, seconds)
        self.bar.update(self.task, completed=done, words=words, description=f"step {step}")

    def row(self, row: Mapping[str, float | None]) -> None:
        """After each evaluation."""
        if self.console is None:
            return
        self.console.print(
            f"step {row['step']:>6}  {clock_time(row['seconds']):>8}  train {row['train']:.4f}  "
            f"validation {row['validation']:.4f} ± {row['standard_error']:.4f} {self.figure}  "
            f"{row['images_per_second']:,.0f} images/s"
        )


def clock_time(seconds: float) -> str:
    """``1:02:03``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
