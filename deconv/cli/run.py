"""Running the command: every foreseeable failure is one line on standard error and an exit status."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import cache

import typer
from typer.main import get_command

from .app import app

__all__ = ["run"]

# Typer carries its own copy of click or uses the installed one, depending on its version.
_UsageError = typer.BadParameter.__base__
_ClickException = _UsageError.__base__

_INTERRUPTED = 130

_FORESEEN = (ValueError, TypeError, OSError, FloatingPointError, MemoryError, ImportError)

# How torch says that there is no memory: RuntimeError, or a subclass of it that is not in every version.
_NO_MEMORY = re.compile(r"out of memory|DefaultCPUAllocator|_ALLOC_FAILED")
_SIZE = re.compile(r"allocate (\d+ bytes|[\d.]+ [KMGT]iB)")


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
    except _FORESEEN as error:
        return _failed(error, interrupted)
    except RuntimeError as error:
        if not _NO_MEMORY.search(str(error)):
            raise
        return _failed(error, interrupted)
    if status == _INTERRUPTED:  # Typer has swallowed the exception
        raise KeyboardInterrupt
    return status if isinstance(status, int) else 0


def _failed(error: Exception, interrupted: Callable[[], bool]) -> int:
    if interrupted() or os.environ.get("DECONV_TRACEBACK"):
        raise error
    return _fail("deconv", _message(error))


def _fail(command: str, message: str) -> int:
    print(f"{command}: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _message(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError | RuntimeError):
        size = _SIZE.search(text)
        return "out of memory" + (f": {size[1]} could not be allocated" if size else "")
    return text or type(error).__name__
