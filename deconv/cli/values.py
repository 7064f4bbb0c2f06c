"""Numbers, sizes and lengths as people write them in options."""

from __future__ import annotations

import re

__all__ = ["fraction", "length", "sides", "whole_numbers", "window"]

# Lengths in micrometres.
_UNITS = {"": 1.0, "um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3}


def fraction(text: str, flag: str) -> float:
    """A share of full scale given to `flag`, ``0.01`` or ``1%``."""
    number = text.strip()
    try:
        value = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        raise ValueError(f"{flag}: {text!r} is not a number; expected one like 0.01 or 1%") from None
    if not 0 <= value < float("inf"):
        raise ValueError(f"{flag}: expected a finite number of at least 0, given {text}")
    return value


def window(text: str, flag: str) -> int | tuple[int, int]:
    """The window of a psf: ``31``, or ``31x21``, rows by columns."""
    try:
        numbers = [int(part) for part in text.lower().split("x")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise ValueError(f"{flag}: expected a number of pixels, or two like 31x21, given {text!r}")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def sides(text: str, count: int) -> tuple[int, ...]:
    """A size given to ``--size``, ``31x63x63``; one number is the side along every axis."""
    parts = text.lower().split("x")
    if len(parts) == 1 and parts[0].isdigit():
        parts = parts * count
    if len(parts) != count or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--size: expected {count} whole numbers like {'x'.join(['31'] * count)}, given {text!r}")
    return tuple(map(int, parts))


def length(text: str, flag: str) -> float:
    """A length in micrometres, ``520nm`` or ``0.52um``."""
    match = re.fullmatch(r"([0-9.eE+-]+?)\s*([a-zµμ]*)", text.strip())
    try:
        return float(match[1]) * _UNITS[match[2]] if match else float("nan")
    except (ValueError, KeyError):
        raise ValueError(f"{flag}: expected a length like 520nm or 0.52um, given {text!r}") from None


def whole_numbers(text: str, flag: str) -> list[int]:
    """``1,2,8``: numbers from 1 on."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise ValueError(f"{flag}: expected whole numbers from 1, like 1,2, given {text!r}")
    return numbers
