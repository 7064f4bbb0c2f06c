"""Telling how far an estimation has come."""

from __future__ import annotations

import sys
from collections.abc import Callable

from torch import Tensor

__all__ = ["Reporter"]


class Reporter:
    """Calls back after each scale, and moves a bar on a terminal.

    callback: ``callback(scale, psf)``, returns True to stop. progress: show a bar; None: on a terminal.
    total: how many calls there will be.
    """

    def __init__(
        self, callback: Callable[[int, Tensor], bool | None] | None, progress: bool | None, total: int
    ) -> None:
        self.callback = callback
        self.shown = sys.stderr.isatty() if progress is None else progress
        self.total = total
        self.stopped = False

    def __enter__(self) -> Reporter:
        if self.shown:
            from rich.console import Console
            from rich.progress import Progress

            console = Console(stderr=True)
            self.bar = Progress(console=console, transient=console.is_terminal)
            self.task = self.bar.add_task("estimating the psf", total=self.total)
            self.bar.start()
        return self

    def __call__(self, scale: int, psf: Tensor) -> bool:
        """Whether to stop."""
        if self.shown:
            self.bar.advance(self.task)
        if self.callback is not None and self.callback(scale, psf):
            self.stopped = True
        return self.stopped

    def __exit__(self, *exception: object) -> None:
        if self.shown:
            self.bar.stop()
