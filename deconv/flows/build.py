"""The same backbone around any of the layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch

from ..choices import check_choice
from ..solvers.geometry import CORNERS, Corner
from .base import Base, Logistic, StandardNormal
from .coupling import AffineCoupling
from .dequantisation import UniformDequantisation
from .gaussianise import Gaussianise
from .layer import Flow
from .model import FlowModel
from .preprocess import Centre, Logit
from .spline import SplineCoupling
from .step import Step
from .table import FLOWS
from .variational import VariationalDequantisation

__all__ = ["InverseFlow", "build_flow"]

CornerOrder = Literal["cycle", "chain"]
CouplingName = Literal["affine", "spline"]
PreprocessingName = Literal["centre", "logit", "gaussianise"]
DequantisationName = Literal["uniform", "variational"]
BaseName = Literal["normal", "logistic"]

# What each step of flow solves from: one corner after another, neighbours opposite each other, or all of them.
_CORNER_ORDERS: dict[CornerOrder, list[tuple[Corner, ...]]] = {
    "cycle": [("tl",), ("br",), ("tr",), ("bl",)],
    "chain": [CORNERS],
}
_COUPLINGS: dict[CouplingName, Callable[..., Flow]] = {"affine": AffineCoupling, "spline": SplineCoupling}
_PREPROCESSING: dict[PreprocessingName, Callable[[float], Flow]] = {
    "centre": lambda alpha: Centre(),
    "logit": Logit,
    "gaussianise": lambda alpha: Gaussianise(),
}
_DEQUANTISATION: dict[DequantisationName, Callable[[int], UniformDequantisation]] = {
    "uniform": lambda channels: UniformDequantisation(),
    "variational": VariationalDequantisation,
}
_BASES: dict[BaseName, Callable[[], Base]] = {"normal": StandardNormal, "logistic": Logistic}


class _Config(NamedTuple):
    """The arguments of `build_flow` but for the seed."""

    name: str
    image_shape: list[int]
    levels: int
    steps: int
    kernel_size: int
    width: int
    num_classes: int | None
    corners: CornerOrder
    coupling: CouplingName
    preprocessing: PreprocessingName
    dequantisation: DequantisationName
    base: BaseName
    logit_alpha: float

    def arguments(self) -> dict[str, Any]:
        """Of `FlowModel`."""
        for option, allowed in (
            ("name", FLOWS),
            ("corners", _CORNER_ORDERS),
            ("coupling", _COUPLINGS),
            ("preprocessing", _PREPROCESSING),
            ("dequantisation", _DEQUANTISATION),
            ("base", _BASES),
        ):
            check_choice(option, getattr(self, option), allowed)
        corners = itertools.cycle(_CORNER_ORDERS[self.corners])

        def step(shape: tuple[int, int, int]) -> Flow:
            units = FLOWS[self.name].build(shape, self.kernel_size, next(corners))
            coupling = _COUPLINGS[self.coupling](shape[0], self.width, num_classes=self.num_classes)
            return Step(units, shape[0], coupling)

        return {
            "image_shape": self.image_shape,
            "step": step,
            "levels": self.levels,
            "steps": self.steps,
            "preprocessing": _PREPROCESSING[self.preprocessing](self.logit_alpha),
            "dequantisation": _DEQUANTISATION[self.dequantisation](self.image_shape[0]),
            "base": _BASES[self.base](),
            "config": self._asdict(),
        }


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Initial values from a seed, without a trace in the global generator; or from that, for None."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


class InverseFlow(FlowModel):
    """Inverse-Flow: the density runs exact solves, sampling plain convolutions.

    ``build_flow("inverse", ...)`` makes one, too.

    Parameters
    ----------
    image_shape : sequence of int
        `(C, H, W)`, the sides divisible by ``2 ** levels``.
    levels : int
        L.
    steps : int
        K, per level.
    kernel_size : int
        k of the inverse convolutions.
    width : int
        Hidden channels of the coupling networks.
    num_classes : int, optional
        Makes the model conditional on int64 labels `(B,)`, its context.
    corners : {"cycle", "chain"}
        ``"cycle"``: one inverse convolution per step, from another corner at each. ``"chain"``: four, one from every
        corner, as in the paper.
    coupling, preprocessing, dequantisation, base : str
        See `build_flow`.
    logit_alpha : float
        See `build_flow`.
    seed : int, optional
        Of the initial parameters; by default they come from torch's global generator.

    References
    ----------
    Nagar and Varma, "Parallel Backpropagation for Inverse of a Convolution with Application to Normalizing Flows",
    AISTATS 2025.

    Examples
    --------
    >>> model = InverseFlow((1, 8, 8), levels=2, steps=1, width=8, seed=0).eval()
    >>> images = model.sample(3, generator=torch.Generator().manual_seed(0))
    >>> images.shape, model.log_prob(images).shape
    (torch.Size([3, 1, 8, 8]), torch.Size([3]))
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        levels: int,
        steps: int,
        kernel_size: int = 3,
        width: int = 64,
        num_classes: int | None = None,
        corners: CornerOrder = "cycle",
        coupling: CouplingName = "affine",
        preprocessing: PreprocessingName = "logit",
        dequantisation: DequantisationName = "uniform",
        base: BaseName = "normal",
        logit_alpha: float = 0.05,
        seed: int | None = None,
    ):
        config = _Config(
            "inverse", list(image_shape), levels, steps, kernel_size, width, num_classes, corners, coupling,
            preprocessing, dequantisation, base, logit_alpha,
        )  # fmt: skip
        with _seeded(seed):
            super().__init__(**config.arguments())


def build_flow(
    name: str,
    image_shape: Sequence[int],
    *,
    levels: int,
    steps: int,
    kernel_size: int = 3,
    width: int = 64,
    num_classes: int | None = None,
    corners: CornerOrder = "cycle",
    coupling: CouplingName = "affine",
    preprocessing: PreprocessingName = "logit",
    dequantisation: DequantisationName = "uniform",
    base: BaseName = "normal",
    logit_alpha: float = 0.05,
    seed: int | None = None,
) -> FlowModel:
    """A multi-scale flow of steps (layer `name`, ActNorm, 1 x 1 convolution, coupling).

    Parameters
    ----------
    name : str
        Of the layer under comparison, a key of `FLOWS`; ``"glow"`` has nothing but the rest.
    image_shape : sequence of int
        `(C, H, W)`, the sides divisible by ``2 ** levels``.
    levels : int
        L.
    steps : int
        K, per level.
    kernel_size : int
        Of the layer, where it has one.
    width : int
        Hidden channels of the coupling networks.
    num_classes : int, optional
        Makes the model conditional on int64 labels `(B,)`, its context.
    corners : {"cycle", "chain"}
        Of the steps of ``"inverse"``, see `InverseFlow`.
    coupling : {"affine", "spline"}
        `AffineCoupling` or `SplineCoupling`.
    preprocessing : {"centre", "logit", "gaussianise"}
        ``"logit"``: `Logit`, after which every latent is an image in [0, 1]. ``"centre"``: subtract 1/2; part of the
        density then lies outside [0, 1]. ``"gaussianise"``: `Gaussianise`, for images of whole numbers of which few
        grey levels hold the most.
    dequantisation : {"uniform", "variational"}
        Noise added to whole numbers, see `bits_per_dim`.
    base : {"normal", "logistic"}
        Density of the latent.
    logit_alpha : float
        What keeps the logarithms of ``"logit"`` finite at black and white, in (0, 1/2). 0.05 suits photographs; 1e-6
        digits, whose black and white pixels it spreads as widely as all greys between.
    seed : int, optional
        Of the initial parameters; by default they come from torch's global generator.

    Returns
    -------
    FlowModel
        An `InverseFlow` for ``"inverse"``; ``build_flow(**model.config)`` builds its like.

    Raises
    ------
    ValueError
        A name that is not allowed, or an image that cannot be halved so often.

    Examples
    --------
    >>> model = build_flow("glow", (1, 8, 8), levels=2, steps=1, width=8, seed=0).eval()
    >>> z, ladj = model(torch.full((3, 1, 8, 8), 0.5))
    >>> z.shape, ladj.shape
    (torch.Size([3, 64]), torch.Size([3]))
    """
    config = _Config(
        name, list(image_shape), levels, steps, kernel_size, width, num_classes, corners, coupling,
        preprocessing, dequantisation, base, logit_alpha,
    )  # fmt: skip
    if name == "inverse":
        options = config._asdict()
        del options["name"]
        return InverseFlow(**options, seed=seed)
    with _seeded(seed):
        return FlowModel(**config.arguments())
