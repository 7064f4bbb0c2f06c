"""Running the command: every foreseeable failure is one line on standard error and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache

import typer
from typer.main import get_command

from ..failures import foreseen, message_of
from .app import app

__all__ = ["run"]

# Typer carries its own copy of click or uses the installed one, depending on its version.
_UsageError = typer.BadParameter.__base__
_ClickException = _UsageError.__base__

_INTERRUPTED = 130


# Typer would make it anew for every call, which takes longer than most of them.
_command = cache(lambda: get_command(app))


def run(arguments: list[str] | None, interrupted: Callable[[], bool]) -> int:
    """What `deconv.cli.main` does. With ``DECONV_TRACEBACK`` set, failures are raised."""
    try:
        status = _command().main(arguments, prog_name="deconv", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        status = _INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except _ClickException as error:
        command = error.ctx.command_path if getattr(error, "ctx", None) else "deconv"
        return _fail(command, f"{error.format_message()} (see {command} --help)")
    except Exception as error:
        if not foreseen(error) or interrupted() or os.environ.get("DECONV_TRACEBACK"):
            raise
        return _fail("deconv", message_of(error))
    if status == _INTERRUPTED:  # Typer has swallowed the exception
        raise KeyboardInterrupt
    return status if isinstance(status, int) else 0


def _fail(command: str, message: str) -> int:
    print(f"{command}: {' '.join(message.split())}", file=sys.stderr)
    return 2
