"""The progress bar of everything that takes long."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

__all__ = ["ProgressBar", "heard_by", "waiting_for"]

_listener: ContextVar[Callable[[str, float], None] | None] = ContextVar("listener", default=None)
_in_work: ContextVar[ProgressBar | None] = ContextVar("in_work", default=None)


@contextmanager
def heard_by(listener: Callable[[str, float], None]) -> Iterator[None]:
    """Have the bars in this context, shown or not, tell their titles and the share that is done."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Have the bar in this context, where one is shown or heard, say at once what keeps it from going on."""
    bar = _in_work.get()
    if bar is None:
        yield
        return
    bar.hold(what)
    try:
        yield
    finally:
        bar.hold("")


class ProgressBar(AbstractContextManager):
    """A bar on standard error, which leaves a terminal as it was.

    Parameters
    ----------
    title : str
        What is being done.
    total : float
        What `update` counts up to.
    shown : bool or None
        None: on a terminal.
    delay : float
        Seconds that pass before the bar appears where `shown` is None: short work needs none.
    text : bool
        Show the text given to `update` in place of the percentage and the time left.
    unit : str
        What is counted, ``"scale"``: the title then says which one is in work, ``scale 3 of 9``.
    last : bool
        Nothing that takes long comes after: show the time left. False: the time gone by, as the time left of one stage
        would be taken for that of all.
    """

    def __init__(
        self,
        title: str,
        total: float,
        *,
        shown: bool | None = None,
        delay: float = 0.0,
        text: bool = False,
        unit: str = "",
        last: bool = True,
    ) -> None:
        self.bar = None
        self._title, self._total, self._completed, self._unit = title, total, 0.0, unit
        self._waits_for = ""
        self._listener = _listener.get()
        self._tell()
        if shown is False or (shown is None and not sys.stderr.isatty()):
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            ProgressColumn,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(bar_width=None)]
        if text:
            columns += [TextColumn("{task.fields[text]}")]
        elif last and total > 1:
            columns += [TaskProgressColumn(), TimeRemainingColumn(), TextColumn("left")]
        else:  # a single step is all or nothing: it has no share, either
            columns += [TaskProgressColumn()] if total > 1 else []
            columns += [TimeElapsedColumn(), TextColumn("so far")]
        self.bar = Progress(*columns, console=console, transient=console.is_terminal)
        delay = delay if shown is None else 0.0
        self._task = self.bar.add_task(self._words, total=total, visible=delay == 0, text="")
        # What is waited for may be one long step, in which nobody calls `update`.
        self._appearance = threading.Timer(delay, self._appear)
        self._appearance.daemon = True

    def _appear(self) -> None:
        if self.bar is not None:
            self.bar.update(self._task, visible=True)

    def __enter__(self) -> ProgressBar:
        self._unheard = _listener.set(None)  # of bars within bars the outer one is heard
        silent = self.bar is None and self._listener is None
        self._around = _in_work.set(_in_work.get() if silent else self)
        if self.bar is not None:
            self.bar.start()
            self._appearance.start()
        return self

    def __exit__(self, *exception: object) -> None:
        _listener.reset(self._unheard)
        _in_work.reset(self._around)
        if self.bar is not None:
            self._appearance.cancel()
            self.bar.stop()

    def advance(self, amount: float = 1.0) -> None:
        """So much more is done."""
        self._completed += amount
        self._tell()
        if self.bar is not None:
            self.bar.update(self._task, advance=amount, description=self._words)

    def update(self, completed: float, *, title: str | None = None, text: str = "") -> None:
        """So much is done in all; the title and the text from now on."""
        self._completed, self._title = completed, self._title if title is None else title
        self._tell()
        if self.bar is not None:
            self.bar.update(self._task, completed=completed, description=self._words, text=text)

    def hold(self, what: str) -> None:
        """Say, whatever the delay, what the work waits for; no more if that is empty."""
        self._waits_for = what
        self._tell()
        if self.bar is not None:
            self.bar.update(self._task, description=self._words, visible=True if what else None, refresh=True)

    @property
    def _words(self) -> str:
        words = [self._title]
        if self._unit:
            words.append(f"{self._unit} {min(int(self._completed) + 1, int(self._total))} of {int(self._total)}")
        return ", ".join([*words, self._waits_for] if self._waits_for else words)

    def _tell(self) -> None:
        if self._listener is not None:
            self._listener(self._words, self._completed / self._total if self._total else 0.0)

    def print(self, line: str) -> None:
        """A line above the bar; without a bar, on standard error."""
        if self.bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self.bar.console.print(line, highlight=False, soft_wrap=True, markup=False)
