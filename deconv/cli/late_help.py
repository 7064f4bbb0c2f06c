"""Help that lists the rows of a table, looked up only when it is shown: what the tables import takes seconds."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

__all__ = ["LateHelp"]

_PLACE = re.compile(r"\{([\w.]+):(\w+)\}")


class LateHelp(TyperCommand):
    """A command in whose options' help ``{package.module:function}`` stands for what the function returns."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:
        for parameter in self.params:
            text = getattr(parameter, "help", None)
            if text:
                parameter.help = _PLACE.sub(lambda place: getattr(import_module(place[1]), place[2])(), text)
        super().format_help(ctx, formatter)
