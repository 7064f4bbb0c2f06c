"""A command for one picture as one for many."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from ...progress import ProgressBar
from ..outcome import LEFT, Outcome
from ..sections import many_option
from .files import are_many, find_jobs
from .pipes import is_pipe, piped

__all__ = ["for_many"]

# Seconds in which nothing need be said.
_PROMPT = 0.3

# The exit status where a picture is left as it is.
_LEFT = 3

_SUFFIX = """Added to their names in DIR: -sharp, or -sharp.png.

With an ending of its own it says the kind of file, too, and may be that alone: .tif."""
_RECURSIVE = "Take folders within folders, too; keep the tree."
_SKIP = "Leave out pictures whose output is there."
_JOBS = """How many at a time, each in a process.

By default one for each core, as far as they fit into memory."""
_REPORT = "Write what became of each to a JSON file."


def _several(
    suffix: Annotated[str, many_option(metavar="TEXT", help=_SUFFIX)] = "",
    recursive: Annotated[bool, many_option("--recursive", help=_RECURSIVE)] = False,
    skip_existing: Annotated[bool, many_option("--skip-existing", help=_SKIP)] = False,
    jobs: Annotated[int | None, many_option("--jobs", "-j", metavar="N", min=1, help=_JOBS)] = None,
    report: Annotated[Path | None, many_option(metavar="FILE.json", help=_REPORT)] = None,
) -> None:
    """The options that `for_many` adds."""


class Options(Protocol):
    """The options of a command: a dataclass whose fields are annotated as Typer wants it."""

    overwrite: bool
    quiet: bool

    def check(self, *, many: bool) -> None:
        """Raise, before anything is done, what would be wrong with the picture whatever it shows, or with every one of
        many."""


def for_many(single: Callable[..., Outcome], *, ending: str | None = None) -> Callable[..., None]:
    """The command of a function for one picture, which takes many, too.

    Parameters
    ----------
    single : callable
        ``single(source, output, options) -> Outcome``: two files, annotated as Typer wants it, and an `Options`; a
        function of a module, for processes find it by its name.
    ending : str, optional
        What the names of all outputs end with; by default that of the picture.

    Returns
    -------
    callable
        The same with the options one by one and more arguments: one picture and the name of a file for the output is
        `single`; several pictures, folders or patterns, or a folder for the output are many.
    """
    source, target, given = inspect.signature(single, eval_str=True).parameters.values()
    made_of = given.annotation
    own = dict(inspect.signature(made_of, eval_str=True).parameters)
    added = inspect.signature(_several, eval_str=True).parameters
    (argument,) = source.annotation.__metadata__
    pictures = source.replace(name="sources", annotation=Annotated[list[Path], argument])
    last = own.pop("quiet")
    listed = [each.replace(kind=last.kind) for each in (pictures, target, *own.values(), *added.values(), last)]

    def command(sources: list[Path], output: Path, **values: Any) -> None:
        several = {name: values.pop(name) for name in added}
        options = made_of(**values)
        through_pipe = any(map(is_pipe, (*sources, output)))
        if through_pipe and len(sources) > 1:
            raise ValueError("-: standard input and output are for one picture")
        many = not through_pipe and are_many(sources, output)
        options.check(many=many)
        if many:
            _run_many(single, sources, output, options, ending=ending, **several)
            return
        _refuse(several)
        if several["skip_existing"] and output.exists():
            return
        _start(quiet=options.quiet)
        with piped(sources[0], output, ending or "") as (read, written, spoken):
            outcome = single(read, written, options)
        if not options.quiet:
            typer.echo(spoken(outcome.words), err=is_pipe(output))
        if outcome.what == LEFT:
            raise typer.Exit(_LEFT)

    functools.update_wrapper(command, single)
    command.__name__ = single.__name__.removesuffix("_file")
    command.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in listed}
    return command


def _start(*, quiet: bool) -> None:
    """Import what takes seconds, and say so."""
    with ProgressBar("starting", 1, shown=False if quiet else None, delay=_PROMPT):
        importlib.import_module("torch")


def _refuse(several: dict[str, Any]) -> None:
    """Options that mean nothing for one picture."""
    for name in ("suffix", "recursive", "jobs", "report"):
        if several[name]:
            raise ValueError(f"--{name}: is for several pictures, or one and a folder for --output")


def _run_many(
    single: Callable[..., Outcome],
    sources: list[Path],
    folder: Path,
    options: Options,
    *,
    ending: str | None,
    suffix: str,
    recursive: bool,
    skip_existing: bool,
    jobs: int | None,
    report: Path | None,
) -> None:
    from .display import Display
    from .pool import work_through
    from .report import exit_status, print_table, write_report

    found = find_jobs(sources, folder, suffix=suffix, recursive=recursive, ending=ending)
    if report is not None and not report.parent.is_dir():
        raise FileNotFoundError(f"--report: the folder {report.parent} does not exist")
    there = {job for job in found if os.path.lexists(job.output)}
    if there and not (skip_existing or options.overwrite):
        example = next(job.output for job in found if job in there)
        others = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise ValueError(f"--output: {example}{others} exist; --skip-existing leaves, --overwrite replaces them")
    skipped = there if skip_existing else set()
    outcomes = {job: Outcome("skipped", f"{job.output} exists") for job in skipped}
    wanted = [job for job in found if job not in skipped]
    cores = _cores()
    processes = min(jobs or cores, max(len(wanted), 1))
    quiet, options = options.quiet, replace(options, quiet=True)
    started = time.monotonic()
    threads = max(1, cores // processes)
    title = single.__name__.removesuffix("_file").replace("_", "-")
    with Display(title, wanted, shown=False if quiet else None) as display:
        for job, message in work_through(wanted, single, options, processes=processes, threads=threads):
            if isinstance(message[0], Outcome):
                outcomes[job] = message[0]
                display.end(job, *message)
            else:
                display.stage(job, *message)
    seconds = time.monotonic() - started
    results = [(job, outcomes[job]) for job in found]
    if not quiet:
        print_table(results, seconds)
    if report is not None:
        write_report(report, title, results, seconds)
    if status := exit_status(results):
        raise typer.Exit(status)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
