"""The curve of a run: a CSV file, and TensorBoard's where it is asked for."""

from __future__ import annotations

import csv
import os
from importlib.util import find_spec
from pathlib import Path

from ..imaging.files import write_atomically

__all__ = ["COLUMNS", "Log", "Row", "check_tensorboard", "read_log"]

COLUMNS = (
    "step",
    "epoch",
    "seconds",
    "train",
    "validation",
    "standard_error",
    "learning_rate",
    "gradient_norm",
    "images_per_second",
)

Row = dict[str, float | None]


def check_tensorboard() -> None:
    """Raise ValueError where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise ValueError("tensorboard: is not installed (pip install tensorboard)")


class Log:
    """Writes rows to ``log.csv`` in a folder.

    Parameters
    ----------
    folder : Path
        Of the run.
    step : int
        Steps made before: later rows of a run that was begun there are removed.
    tensorboard : bool
        Also write events for TensorBoard, which has to be installed.
    """

    def __init__(self, folder: Path, *, step: int = 0, tensorboard: bool = False) -> None:
        self.path = folder / "log.csv"
        before = _lines(self.path) if step and self.path.exists() else []
        lines = [line for line in before[1:] if float(line.partition(",")[0]) <= step]
        write_atomically(self.path, "".join([",".join(COLUMNS) + "\r\n", *lines]).encode())
        self.events = None
        if tensorboard:
            check_tensorboard()
            from torch.utils.tensorboard import SummaryWriter

            self.events = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, row: Row) -> None:
        """Add a row of all the `COLUMNS`."""
        try:
            with open(self.path, "a", newline="") as file:
                csv.writer(file).writerow([row[name] for name in COLUMNS])
        except OSError as error:
            error.filename = os.fspath(self.path)  # a full disk has no name
            raise
        if self.events is not None:
            for name in COLUMNS[3:]:
                if row[name] is not None:
                    self.events.add_scalar(name, row[name], int(row["step"] or 0))
            self.events.flush()


def read_log(path: Path) -> list[Row]:
    """The rows of a ``log.csv``; a last row that was cut short is left out."""
    rows = csv.DictReader(_lines(path))
    return [{name: float(value) if value else None for name, value in row.items()} for row in rows]


def _lines(path: Path) -> list[str]:
    """The whole lines of a file, with their ends."""
    with open(path, newline="") as file:
        return [line for line in file if line.endswith("\n")]
