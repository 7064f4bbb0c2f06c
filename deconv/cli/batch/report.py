"""What became of all pictures: a table for people, JSON for programs, an exit status."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..outcome import FAILED, LEFT, Outcome
from .files import Job

__all__ = ["exit_status", "print_table", "write_report"]

Results = Sequence[tuple[Job, Outcome]]


def print_table(results: Results, seconds: float) -> None:
    """File, size of the psf, confidence, seconds and outcome of each; how many of which outcome."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("file", "psf", "confidence", "seconds", "outcome", box=None, pad_edge=False)
    table.columns[0].overflow = table.columns[4].overflow = "fold"
    for column in table.columns[2:4]:
        column.justify = "right"
    for job, outcome in results:
        table.add_row(
            Text(str(job.source)),
            "" if outcome.psf is None else " x ".join(map(str, outcome.psf)),
            "" if outcome.confidence is None else f"{outcome.confidence:.2f}",
            f"{outcome.seconds:.1f}" if outcome.seconds else "",
            Text(outcome.what if outcome.what != FAILED else _why(job, outcome)),
        )
    counts = Counter(outcome.what for _, outcome in results)
    console = Console()
    console.print(table)
    console.print(", ".join(f"{n} {what}" for what, n in counts.items()) + f"; {seconds:.1f} s", highlight=False)


def _why(job: Job, outcome: Outcome) -> str:
    """Why it failed; which file it is stands beside it."""
    return f"{FAILED}: {outcome.words.removeprefix(f'{job.source}: ')}"


def write_report(path: Path, command: str, results: Results, seconds: float) -> None:
    """The same as JSON, with the outputs and the closing lines."""
    from ...imaging.files import write_atomically

    pictures = [
        {
            "file": str(job.source),
            "output": str(job.output) if job.output.exists() else None,
            "outcome": outcome.what,
            "words": outcome.words,
            "psf": None if outcome.psf is None else list(outcome.psf),
            "confidence": outcome.confidence,
            "seconds": round(outcome.seconds, 3),
        }
        for job, outcome in results
    ]
    report = {"command": command, "seconds": round(seconds, 3), "pictures": pictures}
    write_atomically(path, json.dumps(report, indent=1).encode() + b"\n")


def exit_status(results: Results) -> int:
    """1 if any failed, else 3 if any is left as it is, else 0."""
    found = {outcome.what for _, outcome in results}
    return 1 if FAILED in found else 3 if LEFT in found else 0
