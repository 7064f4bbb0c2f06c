"""``deconv app``: the page for photographers, in the browser of this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer import Option

from .options import MaxPixels

__all__ = ["choices", "page", "tasks"]

_PORT = "Where the page is served, on 127.0.0.1; 0 for any port that is free."
_BROWSER = "Open the page in the browser."

# The most that a pixel takes in a file that is not compressed, 16 bits of four samples, and what else a file holds.
_BYTES, _ELSE = 8, 1 << 24


def page(
    port: Annotated[int, Option(metavar="N", min=0, max=65535, help=_PORT)] = 0,
    browser: Annotated[bool, Option("--browser/--no-browser", help=_BROWSER)] = True,
    max_pixels: MaxPixels = None,
) -> None:
    """Open a page to restore photographs: drop them, look at the blur, compare, save.

    Nothing leaves this machine. Files are kept in a temporary folder, which is removed at the end, with Ctrl-C.

    \b
    Example:
      deconv app
    """
    try:
        from ..page.server import listen, serve
    except ModuleNotFoundError as error:
        raise ValueError(f'app: needs {error.name}; install the extra: pip install "deconv-toolkit[app]"') from None
    from ..imaging.decoding import MAX_PIXELS
    from ..page.session import Session

    limit = MAX_PIXELS if max_pixels is None else max_pixels
    sock = listen(port)
    work, examples = tasks(limit)
    session = Session(work, examples, max_bytes=_BYTES * limit + _ELSE)

    def ready(address: str) -> None:
        typer.echo(f"{address}\nCtrl-C ends it.")
        if browser:
            typer.launch(address)

    try:
        serve(session, choices(), sock, ready)
    except KeyboardInterrupt:
        pass  # which is how it ends
    finally:
        session.close()
        sock.close()


def choices() -> dict[str, Any]:
    """What the page offers to choose from, ready for JSON."""
    from ..imaging.formats import FORMATS
    from ..restore.methods import METHODS
    from .methods import AUTO, DEFAULT
    from .page_tasks import EXAMPLES

    rows = {name: method.summary for name, method in METHODS.items()}
    return {
        "methods": {DEFAULT: rows.pop(DEFAULT), AUTO: "the best within a minute", **rows},
        "endings": {format.name: format.suffixes[0] for format in FORMATS if format.dtypes and format.photographs},
        "examples": list(EXAMPLES),
    }


def tasks(max_pixels: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tasks and the examples for `deconv.page.session.Session`."""
    from functools import partial

    from . import page_tasks

    work = {
        "open": page_tasks.open_picture,
        "estimate": page_tasks.estimate,
        "preview": page_tasks.preview,
        "restore": page_tasks.restore,
        "save": page_tasks.save,
    }
    examples = {name: partial(page_tasks.example, name=name, max_pixels=max_pixels) for name in page_tasks.EXAMPLES}
    return {name: partial(task, max_pixels=max_pixels) for name, task in work.items()}, examples
