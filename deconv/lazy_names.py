"""Packages that import their modules when one of their names is first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, modules: Sequence[str], names: Sequence[str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names live in its modules.

    Importing torch takes seconds; a command's help, which reads tables of names only, should not.

    Parameters
    ----------
    package : str
        The package's `__name__`.
    modules : sequence of str
        Its modules, searched in this order for the one whose `__all__` lists a name.
    names : sequence of str
        What the package offers, its `__all__`.

    Returns
    -------
    callable
        To be assigned to `__getattr__` in the package.
    """

    def find(name: str) -> Any:
        if name in modules:
            return import_module(f".{name}", package)
        if name in names:
            for module in modules:
                found = import_module(f".{module}", package)
                if name in found.__all__:
                    value = getattr(found, name)
                    setattr(sys.modules[package], name, value)
                    return value
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
