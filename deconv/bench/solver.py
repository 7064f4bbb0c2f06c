"""``deconv bench solver``: the exact inverse of a convolution against the convolution itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from deconv import solvers
from deconv.choices import check_choice
from deconv.devices import usable_device

from .diagonals import by_diagonals
from .graphs import replayed_medians
from .growth import SERIES, measure_growth
from .memory import extra_memory
from .operations import Operands, accuracy, convolutions, solution
from .output import check_writable, console_of_width, write_json
from .report import diagonals_table, graphs_table, growth_table, means_table, rivals_table, roofline_table, rows_table
from .results import Report, Row, machine
from .rivals import general_solvers
from .roofline import Roofline
from .shapes import FEW_IMAGES, TABLE, SolveCase
from .timing import interleaved_medians

__all__ = ["main", "measure_row"]

_TIMES = ("convolution", "convolution_with_gradients", "solve", "solve_with_gradients")
_AGREEMENT = 1e-3  # relative, of float32 results that were summed in another order


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
    solver : str, optional
        Name of a solver, by default the one that would be taken. Cases that it does not take are left out.
    device : str
        Of the tensors. On an accelerator the number of threads does not matter, and the first one is used; times are
        those between events on its stream, and convolutions are of IEEE float32, by the fastest algorithm that cuDNN
        finds. On CUDA the same calls are timed in graphs too.
    threads : sequence of int
        Numbers of threads of the processor to measure with.
    json, plot : Path, optional
        Files to write.
    seconds : float
        Spent on timing one row with one number of threads.
    rows : sequence of int, optional
        Positions in the table, from 1; by default all, and the cases with few images too.
    memory, rivals, growth : bool
        Whether to measure these. Rivals are the schedule of the paper, and on a CPU general solvers of linear systems.
    console : Console, optional
        Where to print.

    Returns
    -------
    Report
        Everything measured.

    Raises
    ------
    ValueError
        An unknown solver or row, a device that is not there, a solver that takes none of the rows, or a file that could
        not be written at the end.
    """
    console = console or console_of_width(150)
    device = str(usable_device(device))
    check_writable("json", json)
    check_writable("plot", plot)
    if plot is not None and importlib.util.find_spec("matplotlib") is None:
        raise ValueError("plot: needs matplotlib (pip install 'deconv-toolkit[plot]')")
    cases = _taken(TABLE if rows is None else map(_row, rows), solver, device, console)
    if not cases:
        raise ValueError(f"solver: {solver!r} takes none of these cases")
    few = _taken(FEW_IMAGES, solver, device, console) if rows is None else []
    report = Report(solver, device, list(threads) if device == "cpu" else list(threads)[:1], seconds)
    known = machine()
    name = known["processor"] if device == "cpu" else known.get("accelerator", device)
    console.print(f"{name}, torch {torch.__version__}, {device}, solver {solver or 'by default'}")

    threads_before = torch.get_num_threads()
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            _measure_all(report, cases, few, memory, rivals, growth, console)
    finally:
        torch.set_num_threads(threads_before)

    if not report.correct:
        console.print("[bold red]Some solutions are wrong: they have no ratio.[/]")
    write_json(json, report.record())
    if json is not None:
        console.print(f"wrote {json}")
    if plot is not None:
        from .figure import draw

        draw(report, plot)
        console.print(f"wrote {plot}")
    return report


def measure_row(
    case: SolveCase,
    threads: int,
    solver: str | None,
    device: str,
    seconds: float,
    memory: dict[str, int] | None = None,
) -> Row:
    """Time one case, with the number of threads that is set."""
    operands = Operands.of(case, device)
    checked = accuracy(operands, solver)
    chosen = solvers.choose(operands.images, operands.weight, support=case.support, groups=1, name=solver)
    ours, theirs = solution(operands, solver), convolutions(operands)
    medians = [
        interleaved_medians(
            {"solve": ours[index]} | {name: variant[index] for name, variant in theirs.items()},
            seconds=seconds / 2,
            device=device,
        )
        for index in (0, 1)  # without and with gradients
    ]
    solve = [times.pop("solve") for times in medians]
    fastest = [min(times, key=times.__getitem__) for times in medians]
    graphs = None
    if torch.device(device).type == "cuda":
        fastest_of = (theirs[name][index] for index, name in enumerate(fastest))
        functions = dict(zip(_TIMES, (*fastest_of, *ours), strict=True))
        graphs = replayed_medians(functions, seconds=seconds / 2, device=device)
    return Row(
        case=case,
        threads=threads,
        solver=chosen.name,
        accuracy=checked,
        convolution=medians[0][fastest[0]],
        solve=solve[0],
        convolution_with_gradients=medians[1][fastest[1]],
        solve_with_gradients=solve[1],
        convolution_variants=(fastest[0], fastest[1]),
        memory=memory,
        graphs=graphs,
    )


def _measure_all(
    report: Report,
    cases: list[SolveCase],
    few: list[SolveCase],
    memory: bool,
    rivals: bool,
    growth: bool,
    console: Console,
) -> None:
    _measure_tables(report, cases, few, memory, console)
    torch.set_num_threads(report.threads[0])
    rows = [row for row in (*report.rows, *report.few_images) if row.threads == report.threads[0]]
    rows = [row for row in rows if row.accuracy.correct]
    if rows:
        report.roofline = Roofline.measured(report.device)
        console.print(roofline_table(rows, report.roofline))
        if any(row.graphs for row in rows):
            console.print(graphs_table(rows, report.roofline))
    if rivals and rows:
        _measure_diagonals(report, rows, console)
    if rivals and report.device == "cpu":
        _measure_rivals(report, cases, console)
    if growth:
        _measure_series(report, console)


def _measure_tables(
    report: Report, cases: list[SolveCase], few: list[SolveCase], memory: bool, console: Console
) -> None:
    peaks: dict[SolveCase, dict[str, int] | None] = {}
    if memory:
        with console.status("memory"):
            every = [*cases, *few]
            peaks = dict(zip(every, extra_memory(every, report.solver, report.device), strict=True))
    for threads in report.threads:
        torch.set_num_threads(threads)
        for title, some, collected in (
            ("batches of images", cases, report.rows),
            ("one image", few, report.few_images),
        ):
            rows = []
            for case in some:
                with console.status(f"{case}, threads: {threads}"):
                    peak = peaks.get(case)
                    rows.append(measure_row(case, threads, report.solver, report.device, report.seconds, peak))
            collected += rows
            if rows:
                console.print(rows_table(rows, title))
        console.print(means_table(report.means(threads), len(cases)))


def _measure_diagonals(report: Report, rows: list[Row], console: Console) -> None:
    for row in rows:
        with console.status(f"diagonal by diagonal: {row.case}"):
            operands = Operands.of(row.case, report.device)
            diagonals, ours = by_diagonals(operands), solution(operands, report.solver)
            for mine, theirs in zip(ours[1](), diagonals[1](), strict=True):
                if not (mine - theirs).abs().max() < _AGREEMENT * theirs.abs().max():
                    raise RuntimeError(f"solving by diagonals differs from deconv.inverse_conv2d on {row.case}")
            report.diagonals[str(row.case)] = [
                interleaved_medians(
                    {"diagonals": theirs, "solve": mine},
                    seconds=report.seconds / 4,
                    rounds=(2, 50),
                    device=report.device,
                )
                for theirs, mine in zip(diagonals, ours, strict=True)
            ]
    console.print(diagonals_table(report.diagonals))


def _measure_rivals(report: Report, cases: list[SolveCase], console: Console) -> None:
    wrong = {row.case for row in report.rows if not row.accuracy.correct}
    for case in cases:
        if case in wrong:
            continue
        with console.status(f"alternatives: {case}"):
            operands = Operands.of(case)
            functions = general_solvers(operands)
            if functions:
                functions["deconv"] = solution(operands, report.solver)[0]
                seconds = report.seconds / 2
                report.rivals[str(case)] = interleaved_medians(functions, seconds=seconds, rounds=(3, 50))
    if report.rivals:
        console.print(rivals_table(report.rivals))


def _measure_series(report: Report, console: Console) -> None:
    for variable, series in SERIES.items():
        points = []
        for case in _taken(series, report.solver, report.device, console):
            value = series[case]
            with console.status(f"{variable} {value}"):
                points.append(measure_growth(variable, value, case, report.solver, report.device, report.seconds / 3))
        report.growth += points
        if points:
            console.print(growth_table(points))


def _taken(cases: Iterable[SolveCase], solver: str | None, device: str, console: Console) -> list[SolveCase]:
    """The cases that the solver takes; says which ones it does not."""
    if solver is not None:
        check_choice("solver", solver, solvers.SOLVERS)
    taken = []
    for case in cases:
        images, weight = torch.empty(case.shape, device=device), torch.empty(case.weight_shape, device=device)
        try:
            solvers.choose(images, weight, support=case.support, groups=1, name=solver)
        except ValueError as refusal:
            console.print(f"[dim]left out: {case}: {refusal}[/]")
        else:
            taken.append(case)
    return taken


def _row(number: int) -> SolveCase:
    if not 1 <= number <= len(TABLE):
        raise ValueError(f"rows: given {number}, allowed are 1 to {len(TABLE)}")
    return TABLE[number - 1]
