"""Running the command: every foreseeable failure is one line on standard error and an exit status."""

from __future__ import annotations

import os
import sys

import typer

from .app import app

__all__ = ["run"]

# Typer carries its own copy of click or uses the installed one, depending on its version.
_UsageError = typer.BadParameter.__base__
_ClickException = _UsageError.__base__

_INTERRUPTED = 130

_FORESEEN = (ValueError, TypeError, OSError, FloatingPointError, MemoryError)


def run(arguments: list[str] | None = None) -> int:
    """What `deconv.cli.main` does. With ``DECONV_TRACEBACK`` set, failures are raised."""
    try:
        status = app(arguments, prog_name="deconv", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        status = _INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except _ClickException as error:
        command = error.ctx.command_path if getattr(error, "ctx", None) else "deconv"
        return _fail(command, f"{error.format_message()} (see {command} --help)")
    except _FORESEEN as error:
        if os.environ.get("DECONV_TRACEBACK"):
            raise
        return _fail("deconv", _message(error))
    if status == _INTERRUPTED:  # Typer has swallowed the exception
        raise KeyboardInterrupt
    return status if isinstance(status, int) else 0


def _fail(command: str, message: str) -> int:
    print(f"{command}: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory"
    return str(error) or type(error).__name__
