"""Where the figures of a benchmark go: the console, and a file that is checked before anything is measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

__all__ = ["check_writable", "console_of_width", "write_json"]


def console_of_width(width: int) -> Console:
    """A console as wide as its terminal; of `width` where the output is kept, so that no table is broken."""
    return Console(width=None if sys.stdout.isatty() else width)


def check_writable(name: str, path: Path | None) -> None:
    """Raise ValueError now, naming the argument, where the file could not be written after minutes of measuring."""
    if path is not None and not path.absolute().parent.is_dir():
        raise ValueError(f"{name}: the directory of {path} does not exist")


def write_json(path: Path | None, figures: Any) -> None:
    """Write figures to a file, if one is asked for."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")
