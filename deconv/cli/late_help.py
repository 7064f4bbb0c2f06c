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
    """A command in whose help and options' help ``{package.module:function}`` stands for what the function returns."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:
        described: Any
        for described in (self, *self.params):
            text = getattr(described, "help", None)
            if text:
                described.help = _PLACE.sub(lambda place: getattr(import_module(place[1]), place[2])(), text)
        self.help = "\n\n".join(_flowing(paragraph) for paragraph in (self.help or "").split("\n\n"))
        super().format_help(ctx, formatter)


def _flowing(paragraph: str) -> str:
    """Without the line ends of the source, which Typer keeps in all paragraphs but the first; after \\b as it is."""
    return paragraph if paragraph.startswith("\b") else " ".join(paragraph.split())
