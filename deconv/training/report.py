"""What a training run says while it runs."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

from ..progress import ProgressBar
from .evaluation import Score
from .log import Row
from .settings import Settings, share_done

__all__ = ["Report", "clock_time"]

_SMOOTHING = 0.02


class Report(AbstractContextManager):
    """A bar with figure, images per second and time left on a terminal; a line for each evaluation anywhere.

    Parameters
    ----------
    settings : Settings
        Of the run.
    figure : str
        The name of what is minimised.
    first_step : int
        Steps made before.
    shown : bool, optional
        By default on standard error; False: nothing.
    """

    def __init__(self, settings: Settings, figure: str, *, first_step: int, shown: bool | None) -> None:
        self.settings, self.figure, self.first_step, self.shown = settings, figure, first_step, shown
        self.bar = ProgressBar("", 1.0, shown=shown, text=True)
        self.smooth: float | None = None
        self.begun = time.monotonic()

    def __enter__(self) -> Report:
        self.bar.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.__exit__(*exception)

    def step(self, step: int, seconds: float, loss: float) -> None:
        """After each step: how many there were, the seconds of training, the figure of the batch."""
        self.smooth = loss if self.smooth is None else self.smooth + _SMOOTHING * (loss - self.smooth)
        pace = (time.monotonic() - self.begun) / (step - self.first_step)
        left = pace * (self.settings.steps - step)
        if self.settings.time_limit is not None:
            left = min(left, max(0.0, self.settings.time_limit - seconds))
        speed = self.settings.batch_size / pace
        text = f"{self.smooth:.3f} {self.figure}  {speed:,.0f} images/s  {clock_time(left)} left"
        self.bar.update(share_done(self.settings, step, seconds), title=f"step {step}", text=text)

    def row(self, row: Row, score: Score) -> None:
        """After each evaluation."""
        if self.shown is not False:
            self.bar.print(
                f"step {row['step']:>6}  {clock_time(row['seconds'] or 0.0):>8}  train {row['train']:.4f}  "
                f"validation {score.text} {self.figure}  {row['images_per_second']:,.0f} images/s"
            )


def clock_time(seconds: float) -> str:
    """``1:02:03``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
