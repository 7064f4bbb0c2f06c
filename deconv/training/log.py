"""The curve of a run: a CSV file, and TensorBoard's where it is asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from ..imaging.files import write_atomically

__all__ = ["COLUMNS", "Log", "check_tensorboard", "read_log"]

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

Row = Mapping[str, float | None]


def check_tensorboard() -> None:
    """Raise ValueError where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise ValueError("tensorboard: is not installed (pip install tensorboard)")


class Log:
    """Writes rows to ``log.csv`` in a folder; rows after `step`, of a run that was taken up again there, go.

    tensorboard: also write events for TensorBoard, which has to be installed.
    """

    def __init__(self, folder: Path, *, step: int = 0, tensorboard: bool = False) -> None:
        self.path = folder / "log.csv"
        kept = [row for row in read_log(self.path) if row["step"] <= step] if step and self.path.exists() else []
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, COLUMNS)
        table.writeheader()
        table.writerows(kept)
        write_atomically(self.path, text.getvalue().encode())
        self.events = None
        if tensorboard:
            check_tensorboard()
            from torch.utils.tensorboard import SummaryWriter

            self.events = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, row: Row) -> None:
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)
        if self.events is not None:
            for name in COLUMNS[3:]:
                if row[name] is not None:
                    self.events.add_scalar(name, row[name], int(row["step"]))
            self.events.flush()


def read_log(path: Path) -> list[dict[str, float | None]]:
    """The rows of a ``log.csv``; a last row that was cut short is left out."""
    with open(path, newline="") as file:
        lines = [line for line in file if line.endswith("\n")]
    rows = csv.DictReader(lines)
    return [{name: float(value) if value else None for name, value in row.items()} for row in rows]
