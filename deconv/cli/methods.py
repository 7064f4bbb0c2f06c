"""The restoration methods that ``deconv deblur --method`` offers: a new one is one more row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

__all__ = ["AUTO", "DEFAULT", "METHODS", "Method", "best", "choose", "listing"]

DEFAULT = "hyper_laplacian"
AUTO = "auto"


@dataclass(frozen=True)
class Method:
    """One row.

    name: what ``--method`` says. summary: half a line for the help. function: of `deconv.restore`, by its
        name.
    fixed: arguments that the row stands for.
    pace: seconds for a million samples, pixels times channels, on one core; for those that ``auto`` may take. Of
        these, the slower is the better.
    volumes: whether it restores volumes, too.
    """

    name: str
    summary: str
    function: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    pace: float | None = None
    volumes: bool = True

    def load(self) -> Callable[..., Any]:
        return getattr(import_module("deconv.restore"), self.function)

    def takes(self, parameter: str) -> bool:
        return parameter in inspect.signature(self.load()).parameters and parameter not in self.fixed

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
        given = {name: pair for name, pair in options.items() if pair[1] is not None and pair[1] is not False}
        for name, (flag, _) in given.items():
            if not self.takes(name):
                others = ", ".join(flag for other, (flag, _) in options.items() if self.takes(other))
                raise ValueError(f"{flag}: {self.name} does not take it; it takes {others}")
        arguments = {name: value for name, value in defaults.items() if self.takes(name)}
        arguments |= {name: value for name, (_, value) in given.items()}
        if tile is not None:
            from ..restore import tiled

            return tiled(function, image, psf, tile=tile, **arguments, **self.fixed)
        return function(image, psf, **arguments, **self.fixed)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("wiener", "linear, quickest; by FFT", "wiener", pace=0.2),
        Method("recursive", "the same by two exact inverse convolutions", "wiener", {"method": "recursive"}),
        Method("tikhonov", "linear, smooth", "tikhonov"),
        Method("unsupervised_wiener", "linear; noise and signal estimated together", "unsupervised_wiener"),
        Method("richardson_lucy", "for counted photons; nothing gets negative", "richardson_lucy"),
        Method("total_variation", "flat areas with sharp edges", "total_variation"),
        Method("hyper_laplacian", "sparse derivatives: sharp edges, little ringing", "hyper_laplacian", pace=3.5),
        Method("l0_gradient", "few edges, for text and drawings", "l0_gradient"),
        Method("plug_and_play", "by a denoiser", "plug_and_play"),
        Method(
            "epll", "by what photographs' patches look like, a mixture of Gaussians; slowest", "epll", volumes=False
        ),
        Method(
            "flow",
            "by a normalizing flow that knows photographs; slow, and the best for them",
            "flow_map",
            pace=100.0,
            volumes=False,
        ),
    )
}


def choose(name: str) -> Method | None:
    """The row called `name`; dashes and underscores are the same. None for ``auto``, see `best`."""
    key = name.lower().replace("-", "_")
    if key == AUTO:
        return None
    if key not in METHODS:
        raise ValueError(f"--method: unknown {name!r}, allowed are {AUTO}, {', '.join(METHODS)}")
    return METHODS[key]


def best(image: Any, seconds: float) -> Method:
    """The best method that restores the image, a tensor, within so many seconds; if none does, the quickest."""
    volume = image.ndim == 5
    paced = sorted(
        (method for method in METHODS.values() if method.pace is not None and (method.volumes or not volume)),
        key=lambda method: method.pace,
    )
    within = [method for method in paced if method.pace * image.numel() / 1e6 <= seconds]
    return within[-1] if within else paced[0]


def listing() -> str:
    """The methods and what they are, for the help."""
    rows = "; ".join(f"{method.name} ({method.summary})" for method in METHODS.values())
    return f"{AUTO} (the best within --budget); {rows}"
