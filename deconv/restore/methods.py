"""The table of restoration methods: the only list of them, read by the command line, layers, tiles and benchmarks.

A new method is a file in `deconv.restore.algorithms` and a row of `METHODS`. Reading the table does not import torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..choices import check_choice

if TYPE_CHECKING:  # what `deconv.restore` exports, for editors and type checkers
    from .algorithms.epll import epll
    from .algorithms.flow_map import flow_map
    from .algorithms.hyper_laplacian import hyper_laplacian
    from .algorithms.l0_gradient import l0_gradient
    from .algorithms.network import network
    from .algorithms.plug_and_play import plug_and_play
    from .algorithms.richardson_lucy import richardson_lucy
    from .algorithms.tikhonov import tikhonov
    from .algorithms.total_variation import total_variation
    from .algorithms.unsupervised_wiener import unsupervised_wiener
    from .algorithms.wiener import wiener

__all__ = [
    "METHODS",
    "Method",
    "as_method",
    "epll",
    "flow_map",
    "hyper_laplacian",
    "l0_gradient",
    "network",
    "plug_and_play",
    "richardson_lucy",
    "tikhonov",
    "total_variation",
    "unsupervised_wiener",
    "wiener",
]


@dataclass(frozen=True)
class Method:
    """A restoration method.

    Parameters
    ----------
    function : str or callable
        The name of a function of `deconv.restore.algorithms`, in the file of the same name; or any function
        ``f(image, psf, *, ...)``.
    summary : str
        What it is good for, in half a line.
    options : mapping
        Keywords of the function that the row stands for.
    volumes : bool
        Whether it is for volumes, too.
    pace : float, optional
        Seconds for a million samples, pixels times channels, on one core. By default not known.
    automatic : bool
        Whether the command line's ``--method auto`` may take it. Of those that it may, the slower is the better.
    learnable : tuple of str, optional
        Which keywords `Restoration` can learn. By default any whose value is a positive number.
    buffers : tuple of float, optional
        What it holds at its peak, in images of the size of the padded domain: of images and of volumes. By default not
        known.
    compiled_buffers : float, optional
        The same of images so large that their passes are compiled, on CPUs. By default no less.
    apart : bool
        As for `deconv.restore.padded_domain.PaddedDomain`.
    one_convolution : bool
        Whether it takes one image and psf only, neither several frames nor a psf that varies over the field.
    held_out : bool
        Whether it decides on a parameter by held-out voxels, see `deconv.restore.held_out_weight`.
    psf_error : bool
        Whether it counts what the psf gets wrong as noise, see `deconv.restore.psf_error`, where none is told.
    reach : int
        How far apart pixels are that do not see each other, in sizes of the psf: the overlap of tiles.
    diffusion : float, optional
        Of a method whose iterations blur and transpose, and no more: after n of them pixels see each other no farther
        than so many times sqrt(n) standard deviations of the psf.
    opponents : bool
        Whether it restores three colours as opponent ones, see `deconv.restore.colours`.
    by_channel : bool
        Whether no channel depends on the others, so that one after another gives the same in less memory.
    """

    function: str | Callable[..., Any]
    summary: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    volumes: bool = True
    pace: float | None = None
    automatic: bool = False
    learnable: tuple[str, ...] | None = None
    buffers: tuple[float, float] | None = None
    compiled_buffers: float | None = None
    apart: bool = True
    one_convolution: bool = False
    held_out: bool = False
    psf_error: bool = False
    reach: int = 4
    diffusion: float | None = None
    opponents: bool = False
    by_channel: bool = False

    def load(self) -> Callable[..., Any]:
        """The function."""
        if not isinstance(self.function, str):
            return self.function
        return getattr(import_module(f".algorithms.{self.function}", __package__), self.function)

    def __call__(self, image: Any, psf: Any = None, **keywords: Any) -> Any:
        """Restore `image`, see `deconv.restore`."""
        return self.load()(image, psf, **{**self.options, **keywords})

    @property
    def name(self) -> str:
        """Of the function."""
        return self.function if isinstance(self.function, str) else getattr(self.function, "__name__", "method")

    @property
    def keywords(self) -> tuple[str, ...]:
        """What may be given beside image and psf: the function's own keywords, and those that all methods take."""
        from .common_options import CommonOptions

        _, _, *parameters = inspect.signature(self.load()).parameters.values()
        names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        if len(names) < len(parameters):
            names += CommonOptions.__annotations__
        return tuple(name for name in names if name not in self.options)


METHODS: dict[str, Method] = {
    "wiener": Method(
        "wiener",
        "linear and quickest, by FFT",
        pace=0.2,
        automatic=True,
        learnable=("noise_to_signal",),
        buffers=(25, 25),
        opponents=True,
    ),
    "recursive": Method(
        "wiener",
        "the same filter by two exact inverse convolutions",
        options={"division": "recursive"},
        volumes=False,
        pace=0.5,
        learnable=("noise_to_signal",),
        buffers=(35, 35),
        one_convolution=True,
        opponents=True,
    ),
    "tikhonov": Method(
        "tikhonov", "linear, smooth", pace=0.7, learnable=("weight",), buffers=(16, 18), opponents=True, by_channel=True
    ),
    "unsupervised_wiener": Method(
        "unsupervised_wiener",
        "linear; noise and signal estimated together",
        pace=0.8,
        learnable=(),
        buffers=(25, 20),
        one_convolution=True,
        opponents=True,
    ),
    "richardson_lucy": Method(
        "richardson_lucy",
        "counted photons; nothing gets negative",
        pace=1.5,
        learnable=("tv",),
        buffers=(17, 17),
        apart=False,
        reach=3,
        diffusion=2.5,
        held_out=True,
        by_channel=True,
    ),
    "total_variation": Method(
        "total_variation",
        "flat areas with sharp edges",
        pace=2.0,
        learnable=("weight",),
        buffers=(26, 30),
        compiled_buffers=18,
        by_channel=True,
        opponents=True,
    ),
    "hyper_laplacian": Method(
        "hyper_laplacian",
        "photographs, the default",
        pace=3.5,
        automatic=True,
        learnable=("weight", "second_order"),
        buffers=(37, 52),
        compiled_buffers=26,
        by_channel=True,
        opponents=True,
    ),
    "l0_gradient": Method(
        "l0_gradient",
        "text and drawings: few edges",
        pace=2.0,
        learnable=(),
        buffers=(26, 30),
        compiled_buffers=18,
        by_channel=True,
        opponents=True,
    ),
    "network": Method(
        "network",
        "photographs: a small network between exact solves",
        volumes=False,
        pace=6.0,
        learnable=(),
        one_convolution=True,
        by_channel=True,
        psf_error=True,
        opponents=True,
    ),
    "plug_and_play": Method(
        "plug_and_play",
        "any denoiser as the prior",
        pace=10.0,
        learnable=("weight",),
        buffers=(30, 37),
        psf_error=True,
        opponents=True,
    ),
    "epll": Method(
        "epll",
        "photographs: a mixture of Gaussians over patches; slow",
        volumes=False,
        pace=130.0,
        learnable=("weight",),
        psf_error=True,
        opponents=True,
    ),
    "flow": Method(
        "flow_map",
        "photographs: a normalizing flow; slow, and the best for them",
        volumes=False,
        pace=30.0,
        automatic=True,
        learnable=("weight",),
        psf_error=True,
        opponents=True,
    ),
}


def as_method(method: str | Callable[..., Any]) -> Method:
    """A method by its name, or of a function.

    Parameters
    ----------
    method : str or callable
        A name of `METHODS`, or of the function behind one; or a function ``f(image, psf, *, ...)``.

    Returns
    -------
    Method
        The row, or one made for the function.

    Raises
    ------
    ValueError
        A name that there is not.
    """
    by_function = {row.name: row for row in METHODS.values() if not row.options}
    if isinstance(method, str):
        known = by_function | METHODS
        check_choice("method", method, known)
        return known[method]
    if isinstance(method, Method):
        return method
    row = by_function.get(getattr(method, "__name__", ""))
    return row if row is not None and row.load() is method else Method(method)


def __getattr__(name: str) -> Any:
    """The function of a row, imported when it is first used."""
    for row in METHODS.values():
        if row.function == name:
            return row.load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
