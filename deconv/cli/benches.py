"""``deconv bench``: the benchmarks, each imported only when it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

__all__ = ["benches"]

benches = typer.Typer(add_completion=False)


@benches.callback(invoke_without_command=True)
def bench(context: typer.Context) -> None:
    """Measure speed and quality.

    \b
    Example:
      deconv bench solver --rows 1,8
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@benches.command()
def solver(
    solver: Annotated[str | None, Option(metavar="NAME", help="One solver; by default the best.")] = None,
    device: Annotated[str, Option(metavar="NAME", help="Where to compute: cpu, cuda, ...")] = "cpu",
    threads: Annotated[str, Option(metavar="N,N", help="Numbers of threads to measure with.")] = "1,2",
    rows: Annotated[str | None, Option(metavar="N,N", help="Rows of the table, from 1; by default all.")] = None,
    seconds: Annotated[float, Option(metavar="S", help="Time spent on each row.")] = 1.5,
    json: Annotated[Path | None, Option(metavar="FILE", help="Also write the figures to this file.")] = None,
    plot: Annotated[Path | None, Option(metavar="FILE", help="Also draw the growth to this file.")] = None,
    memory: Annotated[bool, Option(help="Measure memory.")] = True,
    rivals: Annotated[bool, Option(help="Time general solvers of linear systems.")] = True,
    growth: Annotated[bool, Option(help="Vary image side, kernel size and channels.")] = True,
) -> None:
    """Time the exact inverse of a convolution against the convolution itself.

    Exits with status 1 if a solver failed its check against float64.

    \b
    Examples:
      deconv bench solver --json solver.json --plot growth.png
      deconv bench solver --rows 1,8 --threads 1 --no-growth --no-rivals
    """
    counts = _whole_numbers("--threads", threads)
    chosen = None if rows is None else _whole_numbers("--rows", rows)

    from ..bench.solver import main

    report = main(
        solver=solver,
        device=device,
        threads=counts,
        rows=chosen,
        seconds=seconds,
        json=json,
        plot=plot,
        memory=memory,
        rivals=rivals,
        growth=growth,
    )
    if not report.correct:
        raise typer.Exit(1)


def _whole_numbers(flag: str, text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise ValueError(f"{flag}: expected whole numbers from 1, like 1,2, given {text!r}")
    return numbers
