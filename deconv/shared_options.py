"""Keywords that several functions take, described once: a `TypedDict` with a docstring, written into theirs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["explain"]

Function = TypeVar("Function", bound=Callable[..., Any])


def explain(options: type, name: str) -> Callable[[Function], Function]:
    """Write into the docstring of a function, under ``**name``, what the attributes of `options` are.

    What it is called with, and what an editor shows, stays as it is written; ``help`` and pages made of docstrings
    then tell the rest.
    """

    def explained(function: Function) -> Function:
        written, entry, rest = (function.__doc__ or "").partition(f"**{name} : {options.__name__}\n")
        if entry:  # not under python -OO
            _, _, attributes = inspect.cleandoc(options.__doc__ or "").partition("----------\n")
            line, newline, rest = rest.partition("\n")
            indent = " " * (len(line) - len(line.lstrip()))
            text = "".join(f"{indent}{option}\n" if option else "\n" for option in attributes.splitlines())
            function.__doc__ = f"{written}{entry}{line}{newline}\n{text}{rest}"
        return function

    return explained
