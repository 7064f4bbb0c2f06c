"""``deconv bench solver``: the exact inverse of a convolution against the convolution itself."""

from __future__ import annotations

import json as json_format
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from rich.console import Console

import deconv
from deconv import solvers

from .growth import SERIES, Growth, measure_growth
from .memory import extra_memory
from .operations import Accuracy, Operands, accuracy, convolutions, solution
from .report import growth_table, means_table, rivals_table, rows_table
from .rivals import general_solvers
from .shapes import FEW_IMAGES, TABLE, Problem
from .timing import geometric_mean, interleaved_medians

__all__ = ["Report", "Row", "main", "measure_row"]


@dataclass(frozen=True)
class Row:
    """One problem, measured. Times in seconds; `conv2d` is the fastest way to call it."""

    problem: Problem
    threads: int
    solver: str
    accuracy: Accuracy
    convolution: float
    solve: float
    convolution_with_gradients: float
    solve_with_gradients: float
    convolution_ways: tuple[str, str]  # which way of calling conv2d was fastest, forward and with gradients
    memory: dict[str, int] | None  # bytes at the peak beyond the operands

    @property
    def ratio(self) -> float | None:
        """Solve over `conv2d`, forward; None for a solve that is wrong."""
        return self.solve / self.convolution if self.accuracy.correct else None

    @property
    def ratio_with_gradients(self) -> float | None:
        return self.solve_with_gradients / self.convolution_with_gradients if self.accuracy.correct else None

    def record(self) -> dict:
        return asdict(self) | {"ratio": self.ratio, "ratio_with_gradients": self.ratio_with_gradients}


@dataclass
class Report:
    """Everything measured, in the form that is written to a file."""

    settings: dict
    rows: list[Row] = field(default_factory=list)
    few_images: list[Row] = field(default_factory=list)
    rivals: dict[str, dict[str, float]] = field(default_factory=dict)
    growth: list[Growth] = field(default_factory=list)

    @property
    def correct(self) -> bool:
        """Whether every solve that was timed was right."""
        return all(row.accuracy.correct for row in (*self.rows, *self.few_images)) and all(
            point.correct for point in self.growth
        )

    def means(self, threads: int) -> dict[str, float | None]:
        """Geometric means of the ratios over the table; None where a row of it is wrong."""
        rows = [row for row in self.rows if row.threads == threads]
        several = [row for row in rows if row.problem.channels >= 4]

        def mean(some: list[Row], name: str) -> float | None:
            ratios = [getattr(row, name) for row in some]
            return geometric_mean(ratios) if ratios and None not in ratios else None

        return {
            "forward": mean(rows, "ratio"),
            "forward, 4 channels or more": mean(several, "ratio"),
            "forward and backward": mean(rows, "ratio_with_gradients"),
        }

    def record(self) -> dict:
        return {
            "machine": _machine(),
            "versions": {"deconv": deconv.__version__, "torch": torch.__version__, "python": platform.python_version()},
            "settings": self.settings,
            "correct": self.correct,
            "means": {str(threads): self.means(threads) for threads in self.settings["threads"]},
            "rows": [row.record() for row in self.rows],
            "few_images": [row.record() for row in self.few_images],
            "rivals": self.rivals,
            "growth": [point.record() for point in self.growth],
        }


def main(
    *,
    solver: str | None = None,
    device: str = "cpu",
    threads: Sequence[int] = (1, 2),
    json: Path | None = None,
    plot: Path | None = None,
    seconds: float = 1.5,
    rows: Sequence[int] | None = None,
    memory: bool = True,
    rivals: bool = True,
    growth: bool = True,
    console: Console | None = None,
) -> Report:
    """Measure, print tables, and write what `json` and `plot` ask for.

    Every solve is first compared with float64 and with plain convolutions; one that fails gets no ratio, and the
    report is not `correct`. Ratios are of medians of interleaved runs, with the preparation of the solve and all
    changes of memory layout on the clock.

    Parameters
    ----------
    solver: name of a solver, by default the one that would be taken.
    device: of the tensors. On an accelerator the number of threads does not matter, and the first one is used.
    threads: numbers of threads of the processor to measure with.
    json, plot: files to write.
    seconds: spent on timing one row with one number of threads.
    rows: positions in the table, from 1; by default all, and the problems with few images too.
    memory, rivals, growth: whether to measure these.
    console: where to print.
    """
    console = console or Console()
    threads = list(threads) if device == "cpu" else list(threads)[:1]
    problems = list(TABLE) if rows is None else [_row(number) for number in rows]
    few = FEW_IMAGES if rows is None else ()
    report = Report({"solver": solver, "device": device, "threads": threads, "seconds": seconds})
    console.print(f"{_machine()['processor']}, torch {torch.__version__}, {device}, solver {solver or 'by default'}")

    used = torch.get_num_threads()
    try:
        with console.status("memory"):
            bytes_ = extra_memory([*problems, *few], solver, device) if memory else [None] * (len(problems) + len(few))
        for count in threads:
            torch.set_num_threads(count)
            for target, some, peaks in (
                (report.rows, problems, bytes_[: len(problems)]),
                (report.few_images, few, bytes_[len(problems) :]),
            ):
                for problem, peak in zip(some, peaks, strict=True):
                    with console.status(f"{problem}, {count} threads"):
                        target.append(measure_row(problem, count, solver, device, seconds, peak))
            console.print(rows_table([row for row in report.rows if row.threads == count], "one batch of images"))
            console.print(means_table(report.means(count)))
            if few:
                console.print(rows_table([row for row in report.few_images if row.threads == count], "one image"))
        torch.set_num_threads(threads[0])
        if rivals and device == "cpu":
            for problem in problems:
                with console.status(f"alternatives, {problem}"):
                    _add_rivals(report, problem, solver, seconds)
            if report.rivals:
                console.print(rivals_table(report.rivals))
        if growth:
            for variable, (values, _) in SERIES.items():
                for value in values:
                    with console.status(f"{variable} {value}"):
                        report.growth.append(
                            measure_growth(variable, value, solver=solver, device=device, seconds=seconds / 3)
                        )
                console.print(growth_table([point for point in report.growth if point.variable == variable]))
    finally:
        torch.set_num_threads(used)

    if not report.correct:
        console.print("[bold red]Some solutions are wrong: they have no ratio.[/]")
    if json is not None:
        json.write_text(json_format.dumps(report.record(), indent=2) + "\n")
        console.print(f"wrote {json}")
    if plot is not None:
        from .figure import draw

        draw(report, plot)
        console.print(f"wrote {plot}")
    return report


def measure_row(
    problem: Problem,
    threads: int,
    solver: str | None,
    device: str,
    seconds: float,
    memory: dict[str, int] | None = None,
) -> Row:
    """Time one problem with the number of threads that is set."""
    operands = Operands.of(problem, device)
    checked = accuracy(operands, solver)
    forward, both = solution(operands, solver)
    ways = convolutions(operands)
    fast = interleaved_medians(
        {"solve": forward} | {name: way[0] for name, way in ways.items()}, seconds=seconds / 2, device=device
    )
    slow = interleaved_medians(
        {"solve": both} | {name: way[1] for name, way in ways.items()}, seconds=seconds / 2, device=device
    )
    solve, solve_with_gradients = fast.pop("solve"), slow.pop("solve")
    best = min(fast, key=fast.__getitem__), min(slow, key=slow.__getitem__)
    chosen = solvers.choose(operands.images, operands.weight, support=problem.support, groups=1, name=solver)
    return Row(
        problem=problem,
        threads=threads,
        solver=chosen.name,
        accuracy=checked,
        convolution=fast[best[0]],
        solve=solve,
        convolution_with_gradients=slow[best[1]],
        solve_with_gradients=solve_with_gradients,
        convolution_ways=best,
        memory=memory,
    )


def _add_rivals(report: Report, problem: Problem, solver: str | None, seconds: float) -> None:
    operands = Operands.of(problem)
    functions = general_solvers(operands)
    correct = all(row.accuracy.correct for row in report.rows if row.problem == problem)
    if functions and correct:
        functions["deconv"] = solution(operands, solver)[0]
        report.rivals[str(problem)] = interleaved_medians(functions, seconds=seconds / 2, rounds=(3, 50))


def _row(number: int) -> Problem:
    if not 1 <= number <= len(TABLE):
        raise ValueError(f"rows: given {number}, allowed are 1 to {len(TABLE)}")
    return TABLE[number - 1]


def _machine() -> dict:
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = (line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line)
        processor = next(names, processor)
    machine = {"processor": processor, "cores": os.cpu_count(), "system": platform.platform()}
    if torch.cuda.is_available():
        machine["accelerator"] = torch.cuda.get_device_name()
    return machine
