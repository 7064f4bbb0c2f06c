"""Docstrings of public names parse as numpydoc, and say of every parameter what it is."""

from __future__ import annotations

import importlib
import inspect

import pytest
from numpydoc.validate import validate

import deconv

# What numpydoc can find wrong and we do not mind: blank lines and where the text begins (GL01 to GL03), the order of
# tags and the sections that are not for everything (extended summary, See Also, Examples), the mood of the first verb
# (SS05), a first line that goes on (SS06), upper case and full stops of descriptions that are no sentences (PR06 to
# PR09, RT02 to RT05).
ALLOWED = {"GL01", "GL02", "GL03", "GL09", "SS05", "SS06", "ES01", "SA01", "SA04", "EX01"} | {
    *(f"PR{n:02}" for n in (6, 7, 8, 9)),
    *(f"RT{n:02}" for n in (2, 3, 4, 5)),
}


def _public() -> list[str]:
    """Functions and classes that `deconv` and its subpackages list as their own."""
    found = []
    for package in ("deconv", *(f"deconv.{name}" for name in deconv._SUBPACKAGES), "deconv.imaging.psf"):
        module = importlib.import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            if getattr(thing, "_is_protocol", False):  # nobody makes one
                continue
            if inspect.isclass(thing) or inspect.isroutine(thing):
                found.append(f"{package}.{name}")
    return sorted(found)


@pytest.mark.parametrize("name", _public())
def test_docstrings_parse(name):
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in ALLOWED]
    assert not errors, "\n".join(errors)
