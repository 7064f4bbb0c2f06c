"""Arguments that name one of a few things, and sizes written in short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["check_choice", "pair_of_sizes"]


def check_choice(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Refuse a value that is not among those allowed.

    Parameters
    ----------
    name : str
        What the error calls the argument: ``"boundary"``, or ``"--method"`` on the command line.
    value : Any
        What was given.
    allowed : iterable
        All that may be given, in the order in which the error lists it.

    Raises
    ------
    ValueError
        Naming the argument, what was given, and all that is allowed.

    Examples
    --------
    >>> check_choice("corner", "top", ("tl", "tr"))
    Traceback (most recent call last):
    ...
    ValueError: corner: unknown 'top', allowed are tl, tr
    """
    choices = list(allowed)
    if value not in choices:
        raise ValueError(f"{name}: unknown {value!r}, allowed are {', '.join(map(str, choices))}")


def pair_of_sizes(size: int | Sequence[int], *, name: str = "kernel_size", least: int = 1) -> tuple[int, int]:
    """Height and width of a window from one number or two.

    Parameters
    ----------
    size : int or pair of int
        The side of a square, or `(height, width)`.
    name : str
        What the error calls the argument.
    least : int
        The smallest side allowed.

    Returns
    -------
    tuple of int
        `(height, width)`.

    Raises
    ------
    ValueError
        Anything but whole numbers of at least `least`.

    Examples
    --------
    >>> pair_of_sizes(3), pair_of_sizes((3, 5))
    ((3, 3), (3, 5))
    """
    sides = tuple(size) if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    if len(sides) != 2 or any(not isinstance(n, int) or isinstance(n, bool) or n < least for n in sides):
        raise ValueError(f"{name}: expected a whole number from {least} on, or two, given {size!r}")
    return sides
