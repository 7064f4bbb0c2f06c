"""Help in sections, short first and long when asked for; what it lists of tables is looked up only when it is shown,
for what the tables import takes seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from .sections import GENERAL

__all__ = ["Commands", "LateHelp"]

_PLACE = re.compile(r"\{([\w.]+):(\w+)\}")

# Up to so many options one section is easier to read than several.
_FEW = 8

# The width of the names of options, beyond which what they do begins in the next line.
_NAMES = 28


class LateHelp(TyperCommand):
    """A command in whose help and options' help ``{package.module:function}`` stands for what the function returns.

    ``--help`` shows the first paragraph of each option's help, ``deconv help`` (`explain`) all.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Without the braces, and the dots after dots, of some versions of Typer."""
        return [re.sub(r"[{}]|\.{3}(?=}\.{3})", "", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        self.help = _filled(self.help or "")
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections = self._sections(ctx)
        width = min(_NAMES, max(len(name) for rows in sections.values() for name, *_ in rows))
        for title, rows in sections.items():
            with formatter.section(typer.style(title, bold=True)):
                formatter.write_dl([(f"{name:<{width}}", short) for name, short, _ in rows], col_max=width)
        if any(more for rows in sections.values() for *_, more in rows):
            words = ctx.command_path.removeprefix("deconv ")
            formatter.write_paragraph()
            formatter.write_text(f"deconv help {words} OPTION says more of an option, deconv help {words} of all.")

    def explain(self, ctx: Any, formatter: Any, only: str | None = None) -> None:
        """Write all there is to say of the command, or of one of its options or arguments, by its name without dashes.

        Raises
        ------
        LookupError
            There is no such option.
        """
        if only is None:
            self.format_usage(ctx, formatter)
            self.format_help_text(ctx, formatter)
        sections = self._sections(ctx, only)
        if not any(sections.values()):
            raise LookupError(only)
        for title, rows in sections.items():
            with formatter.section(typer.style(title, bold=True)):
                for number, (name, short, more) in enumerate(rows):
                    if number:
                        formatter.write_paragraph()
                    formatter.write_text(typer.style(name.strip(), bold=True))
                    with formatter.indentation():
                        formatter.write_text("\n\n".join(filter(None, (short, more))))

    def _sections(self, ctx: Any, only: str | None = None) -> dict[str, list[tuple[str, str, str]]]:
        """By title: name, what is said in short, and what more there is to say, of each argument and option."""
        rows = [(title, *_in_words(ctx, shown)) for title, shown in self._by_section(ctx) if _is(shown, only)]
        return {title: [row[1:] for row in rows if row[0] == title] for title, *_ in rows}

    def _by_section(self, ctx: Any) -> Iterator[tuple[str, Any]]:
        shown = [each for each in self.get_params(ctx) if not getattr(each, "hidden", False)]
        options = [each for each in shown if each.param_type_name == "option"]
        yield from (("Arguments", each) for each in shown if each not in options)
        titles = [getattr(each, "rich_help_panel", None) for each in options]
        if len(options) <= _FEW or None in titles[:-1]:  # the last is --help
            titles = [GENERAL] * len(options)
        titles = [title or GENERAL for title in titles]
        for title in sorted(set(titles), key=lambda title: (title == GENERAL, titles.index(title))):
            yield from ((title, each) for each, its in zip(options, titles, strict=True) if its == title)


class Commands(TyperGroup):
    """A command of commands, whose help says of each the whole first sentence."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section(typer.style("Commands", bold=True)):
            formatter.write_dl([(name, _first_paragraph(self.commands[name])) for name in self.list_commands(ctx)])


def _first_paragraph(command: Any) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())


def _is(parameter: Any, name: str | None) -> bool:
    names = (parameter.metavar or "", parameter.name, *parameter.opts, *parameter.secondary_opts)
    return name is None or name.lower() in {each.lower().strip("-.") for each in names}


def _in_words(ctx: Any, parameter: Any) -> tuple[str, str, str]:
    short, _, more = _filled(parameter.help or "").partition("\n\n")
    shown = copy(parameter)
    shown.help = short
    name, short = shown.get_help_record(ctx)
    short = short.replace("\\[", "[")  # some versions of Typer write for rich
    if parameter.param_type_name == "argument":
        name = parameter.metavar or name
    return (f"    {name}" if name.startswith("--") else name), short, more


def _filled(text: str) -> str:
    return _PLACE.sub(lambda place: getattr(import_module(place[1]), place[2])(), text)
