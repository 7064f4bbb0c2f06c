"""The restoration methods that ``deconv deblur --method`` offers: a new one is one more row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

__all__ = ["DEFAULT", "METHODS", "Method", "choose", "listing"]

DEFAULT = "hyper_laplacian"


@dataclass(frozen=True)
class Method:
    """One row.

    name: what ``--method`` says. summary: half a line for the help. function: of `deconv.restore`, by its
        name.
    fixed: arguments that the row stands for.
    """

    name: str
    summary: str
    function: str
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        return getattr(import_module("deconv.restore"), self.function)

    def call(
        self,
        image: Any,
        psf: Any,
        options: Mapping[str, tuple[str, Any]],
        defaults: Mapping[str, Any],
        tile: int | None = None,
    ) -> Any:
        """Restore `image`.

        options: by the function's parameter, the flag that gave it and its value. Those that are None or
            False were not given; one that is given and that the function does not take is an error.
        defaults: arguments for the parameters that the function has and no option gives.
        tile: side of the tiles to restore one by one; None: the image as a whole.
        """
        function = self.load()
        taken = inspect.signature(function).parameters
        given = {name: pair for name, pair in options.items() if pair[1] is not None and pair[1] is not False}
        for name, (flag, _) in given.items():
            if name not in taken or name in self.fixed:
                others = ", ".join(flag for other, (flag, _) in options.items() if other in taken)
                raise ValueError(f"{flag}: {self.name} does not take it; it takes {others}")
        arguments = {name: value for name, value in defaults.items() if name in taken}
        arguments |= {name: value for name, (_, value) in given.items()}
        if tile is not None:
            from ..restore import tiled

            return tiled(function, image, psf, tile=tile, **arguments, **self.fixed)
        return function(image, psf, **arguments, **self.fixed)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("wiener", "linear, quickest; by FFT", "wiener"),
        Method("recursive", "the same by two exact inverse convolutions", "wiener", {"method": "recursive"}),
        Method("tikhonov", "linear, smooth", "tikhonov"),
        Method("unsupervised_wiener", "linear; noise and signal estimated together", "unsupervised_wiener"),
        Method("richardson_lucy", "for counted photons; nothing gets negative", "richardson_lucy"),
        Method("total_variation", "flat areas with sharp edges", "total_variation"),
        Method("hyper_laplacian", "sparse derivatives: sharp edges, little ringing", "hyper_laplacian"),
        Method("l0_gradient", "few edges, for text and drawings", "l0_gradient"),
        Method("plug_and_play", "by a denoiser", "plug_and_play"),
        Method("epll", "by what photographs' patches look like, a mixture of Gaussians; slow", "epll"),
        Method("flow", "the same by a normalizing flow; slowest, for photographs", "flow_map"),
    )
}


def choose(name: str) -> Method:
    """The row called `name`; dashes and underscores are the same."""
    key = name.lower().replace("-", "_")
    if key not in METHODS:
        raise ValueError(f"--method: unknown {name!r}, allowed are {', '.join(METHODS)}")
    return METHODS[key]


def listing() -> str:
    """The methods and what they are, for the help."""
    return "; ".join(f"{method.name} ({method.summary})" for method in METHODS.values())
