"""Psfs written as text: ``motion:15,30`` on the command line and in configuration files."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from .atmosphere import kolmogorov, moffat
from .optics import airy, defocus
from .shake import camera_shake, inertial_shake, polyline_shake
from .shapes import box, disk, gaussian, motion

__all__ = ["MAKERS", "forms", "listing", "parse"]

MAKERS: dict[str, Callable[..., Tensor]] = {
    "gaussian": gaussian,
    "disk": disk,
    "box": box,
    "motion": motion,
    "shake": camera_shake,
    "inertial": inertial_shake,
    "polyline": polyline_shake,
    "airy": airy,
    "defocus": defocus,
    "moffat": moffat,
    "kolmogorov": kolmogorov,
}


def parse(spec: str) -> Tensor:
    """The psf that a text describes: ``name:value,value,key=value``.

    Parameters
    ----------
    spec : str
        The name of a function of `deconv.imaging.psf` (``shake`` for `camera_shake`, ``inertial`` and ``polyline``
        likewise) and its arguments, in its order; sizes may be written ``21`` or ``21x15`` (rows by columns).

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        An unknown name (the message lists the known ones), or values that the function does not take.

    Examples
    --------
    >>> parse("motion:3,90").shape
    torch.Size([3, 1])
    >>> parse("gaussian:1.5,size=9").shape
    torch.Size([9, 9])
    """
    name, _, arguments = spec.partition(":")
    name = name.strip().lower()
    if name not in MAKERS:
        raise ValueError(f"psf: unknown {spec!r}, allowed are {'; '.join(forms())}, or a file")
    maker = MAKERS[name]
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for text in filter(None, (part.strip() for part in arguments.split(","))):
        key, equals, value = text.rpartition("=")
        if equals:
            named[key.strip()] = _value(value, spec)
        else:
            positional.append(_value(text, spec))
    # On the command line every argument may go by its place, also what Python wants by name.
    parameters = inspect.signature(maker).parameters
    by_place = dict(zip(parameters, positional, strict=False))
    if twice := named.keys() & by_place.keys():
        raise ValueError(f"psf: {spec!r}: {min(twice)!r} given twice")
    named |= by_place
    unknown = [*list(named.keys() - parameters.keys()), *positional[len(parameters) :]]
    missing = [key for key, p in parameters.items() if p.default is p.empty and key not in named]
    if unknown or missing:
        raise ValueError(f"psf: {spec!r} does not read as {_form(name, maker)}")
    try:
        return maker(**named)
    except (TypeError, ValueError) as error:
        raise ValueError(f"psf: {spec!r}: {error}") from None


def forms() -> list[str]:
    """How each psf is written as a text, see `parse`.

    Returns
    -------
    list of str
        Optional values in brackets: ``"motion:length[,angle,size]"``.
    """
    return [_form(name, maker) for name, maker in MAKERS.items()]


def listing() -> str:
    """All forms, one a line, indented by two spaces, for help.

    Returns
    -------
    str
        See `forms`.
    """
    return "\n  ".join(forms())


def _form(name: str, maker: Callable[..., Tensor]) -> str:
    parameters = inspect.signature(maker).parameters.values()
    required = ",".join(p.name for p in parameters if p.default is p.empty)
    optional = ",".join(p.name for p in parameters if p.default is not p.empty)
    return f"{name}:{required}" + (f"[,{optional}]" if optional else "")


def _value(text: str, spec: str) -> int | float | tuple[int | float, ...]:
    numbers = [_number(part, spec) for part in text.split("x")]
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _number(text: str, spec: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"psf: {text.strip()!r} in {spec!r} is not a number") from None
