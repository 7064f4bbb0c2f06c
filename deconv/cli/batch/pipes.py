"""Standard input and output, ``-``, in the place of files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["is_pipe", "piped"]


def is_pipe(path: Path) -> bool:
    """Whether it stands for standard input or output."""
    return str(path) == "-"


@contextmanager
def piped(source: Path, output: Path, ending: str) -> Iterator[tuple[Path, Path, Callable[[str], str]]]:
    """Files in a temporary folder for what comes from standard input or goes to standard output.

    Parameters
    ----------
    source, output : Path
        ``-``, or a file, which is taken as it is.
    ending : str
        Of the output's name; if empty, the input's, or ``.png`` where such files are not written.

    Yields
    ------
    source, output : Path
        The files to work on; what is in the second at the end is written to standard output.
    spoken : callable
        Takes these names out of a text.
    """
    from ...imaging.formats import format_of_bytes, written_ending

    with TemporaryDirectory(prefix="deconv-") as folder:
        names = {}
        if is_pipe(source):
            data = sys.stdin.buffer.read()
            try:
                source = Path(folder, f"input{format_of_bytes(data).suffixes[0]}")
            except ValueError as error:
                raise ValueError(f"standard input: {error}") from None
            source.write_bytes(data)
            names[str(source)] = "standard input"
        to_pipe = is_pipe(output)
        if to_pipe:
            output = Path(folder, f"output{ending or written_ending(source.suffix)}")
            names[str(output)] = "standard output"

        def spoken(text: str) -> str:
            for name, stands_for in names.items():
                text = text.replace(name, stands_for)
            return text

        try:
            yield source, output, spoken
        except ValueError as error:
            raise type(error)(spoken(str(error))) from error
        if to_pipe and output.exists():
            sys.stdout.buffer.write(output.read_bytes())
            sys.stdout.buffer.flush()
