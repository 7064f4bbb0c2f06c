"""What the page asks for: the blur or what to look for, method, strength, noise, light, and a region."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..choices import check_choice

if TYPE_CHECKING:
    from ..blind.api import Model

__all__ = ["ESTIMATED", "FILE", "Settings"]

# Psfs that are no text of a formula: the one to be estimated, and the file that was given to the page.
ESTIMATED, FILE = "estimated", "file"


@dataclass(frozen=True)
class Settings:
    """How a picture is to be restored.

    Parameters
    ----------
    psf : str
        ``"estimated"``, ``"file"``, or a text as ``deconv deblur --psf`` takes it.
    model : str
        As ``--model``; of an estimated psf only.
    method : str
        As ``--method``.
    strength : float
        As ``--strength``.
    noise : float or None
        Standard deviation as a share of full scale; None: estimated.
    linear : bool or None
        As ``--linear/--no-linear``; None: as the picture shows.
    region : tuple of int or None
        What a preview shows: x, y, width and height in pixels.
    ending : str or None
        Of the saved file; None: as the picture's, where that is written.
    """

    psf: str = ESTIMATED
    model: Model = "auto"
    method: str = "hyper_laplacian"
    strength: float = 1.0
    noise: float | None = None
    linear: bool | None = None
    region: tuple[int, int, int, int] | None = None
    ending: str | None = None

    @classmethod
    def of(cls, given: Any) -> Settings:
        """The settings in a JSON object; what it leaves out is the default.

        Raises
        ------
        ValueError
            Something else than an object, a name that there is not, or a value of another kind.
        """
        if not isinstance(given, Mapping):
            raise ValueError(f"settings: expected an object, given {type(given).__name__}")
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                raise ValueError(f"settings: unknown {name!r}, allowed are {', '.join(names)}")
        values = {name: _CHECKS[name](name, value) for name, value in given.items()}
        return cls(**values)

    def arguments(self) -> list[str]:
        """The same as options of ``deconv deblur``; a psf from a file under the name FILE."""
        options = [] if self.psf == ESTIMATED else ["--psf", "FILE" if self.psf == FILE else self.psf]
        options += [] if self.psf != ESTIMATED or self.model == "auto" else ["--model", self.model]
        options += [] if self.method == "hyper_laplacian" else ["--method", self.method]
        options += [] if self.strength == 1 else ["--strength", f"{self.strength:g}"]
        options += [] if self.noise is None else ["--sigma", f"{100 * self.noise:g}%"]
        options += [] if self.linear is None else ["--linear" if self.linear else "--no-linear"]
        return options


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: expected a text, given {value!r}")
    return value


def _text_or_none(name: str, value: Any) -> str | None:
    return None if value is None else _text(name, value)


def _number(name: str, value: Any, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise ValueError(f"{name}: expected a number of at least {least:g}, given {value!r}")
    return float(value)


def _region(name: str, value: Any) -> tuple[int, int, int, int] | None:
    if value is None:
        return None
    whole = isinstance(value, list | tuple) and all(type(number) is int for number in value)
    if not whole or len(value) != 4 or min(value[:2]) < 0 or min(value[2:]) < 1:
        raise ValueError(f"{name}: expected x, y, width and height in pixels, given {value!r}")
    return tuple(value)


def _light(name: str, value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name}: expected true, false or null, given {value!r}")
    return value


def _model(name: str, value: Any) -> Model:
    from ..blind.api import MODELS

    check_choice(name, value, MODELS)
    return value


_CHECKS = {
    "psf": _text,
    "model": _model,
    "method": _text,
    "strength": lambda name, value: _number(name, value, 0.01),
    "noise": lambda name, value: None if value is None else _number(name, value, 0.0),
    "linear": _light,
    "region": _region,
    "ending": _text_or_none,
}
