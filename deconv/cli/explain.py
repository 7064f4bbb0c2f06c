"""``deconv help``: all there is to say of a command or of one of its options."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer import Argument

from ..choices import check_choice
from .late_help import LateHelp

__all__ = ["explain"]

_WORDS = "A command, and after it an option, with or without its dashes."


def explain(
    context: typer.Context,
    words: Annotated[list[str] | None, Argument(metavar="COMMAND [OPTION]", show_default=False, help=_WORDS)] = None,
) -> None:
    """Say all there is to say of a command, or of one of its options.

    \b
    Examples:
      deconv help deblur
      deconv help deblur --method
    """
    there: Any = context.find_root()
    command: Any = there.command
    left = list(words or ())
    while left and hasattr(command, "commands"):
        name = left.pop(0)
        check_choice(f"{there.command_path} COMMAND".removeprefix("deconv "), name, command.commands)
        command = command.commands[name]
        there = command.make_context(name, [], parent=there, resilient_parsing=True)
    if not isinstance(command, LateHelp):
        typer.echo(command.get_help(there))
        return
    formatter = there.make_formatter()
    try:
        command.explain(there, formatter, left[0].lstrip("-") if left else None)
    except LookupError:
        names = sorted(name for option in command.get_params(there) for name in option.opts if name.startswith("--"))
        check_choice(f"{there.command_path} OPTION".removeprefix("deconv "), left[0], names)
        raise
    typer.echo(formatter.getvalue().strip("\n"))
