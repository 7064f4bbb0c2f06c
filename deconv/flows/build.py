"""The same backbone around any of the layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import nn

from ..solvers.geometry import CORNERS
from .base import Logistic, StandardNormal
from .butterfly import ButterflyLayer
from .cinc import CIncConvolution
from .coupling import AffineCoupling
from .dequantisation import UniformDequantisation
from .emerging import EmergingConvolution
from .finc import FIncUnit
from .gaussianise import Gaussianise
from .inverse_unit import InverseUnit
from .layer import Flow
from .macow import MaCowUnit
from .mintnet import MintNetUnit
from .model import FlowModel
from .periodic import PeriodicConvolution
from .preprocess import Centre, Logit
from .self_normalizing import SelfNormalizingConvolution
from .spline import SplineCoupling
from .step import Step
from .variational import VariationalDequantisation
from .woodbury import MemoryEfficientWoodbury

__all__ = ["FLOWS", "InverseFlow", "build_flow"]

# What each step of flow solves from: one after another, neighbours looking in opposite directions, or all at once.
_CORNERS: dict[str, list[tuple[str, ...]]] = {
    "cycle": [("tl",), ("br",), ("tr",), ("bl",)],
    "chain": [CORNERS],
}
_COUPLINGS: dict[str, Callable[..., Flow]] = {"affine": AffineCoupling, "spline": SplineCoupling}
_BASES: dict[str, Callable[[], nn.Module]] = {"normal": StandardNormal, "logistic": Logistic}
_DEQUANTISATION: dict[str, Callable[[int], nn.Module]] = {
    "uniform": lambda channels: UniformDequantisation(),
    "variational": VariationalDequantisation,
}
_PREPROCESSING: dict[str, Callable[[], Flow]] = {"centre": Centre, "logit": Logit, "gaussianise": Gaussianise}

# The layers under comparison, for images (C, H, W), a kernel size and corners. Each is followed by ActNorm, a 1 x 1
# convolution and a coupling, the same for all. (Of the Woodbury transformations, it is the memory-efficient one: the
# other has a matrix with a row for every pixel.)
FLOWS: dict[str, Callable[[tuple[int, int, int], int, Sequence[str]], list[Flow]]] = {
    "inverse": lambda shape, size, corners: [InverseUnit(shape[0], size, corners=corners)],
    "finc": lambda shape, size, _: [FIncUnit(shape[0], size)],
    "cinc": lambda shape, size, _: [CIncConvolution(shape[0], size)],
    "emerging": lambda shape, size, _: [EmergingConvolution(shape[0], size)],
    "glow": lambda shape, size, _: [],
    "woodbury": lambda shape, size, _: [MemoryEfficientWoodbury(shape)],
    "macow": lambda shape, size, _: [MaCowUnit(shape[0], size, width=max(8, 2 * shape[0]))],
    "butterfly": lambda shape, size, _: [ButterflyLayer(shape)],
    "snf": lambda shape, size, _: [SelfNormalizingConvolution(shape[0], size)],
    "mintnet": lambda shape, size, _: [MintNetUnit(shape[0], size)],
    "periodic": lambda shape, size, _: [PeriodicConvolution(shape[0], size)],
}


def build_flow(
    name: str,
    image_shape: Sequence[int],
    *,
    levels: int,
    steps: int,
    kernel_size: int = 3,
    width: int = 64,
    num_classes: int | None = None,
    corners: str = "cycle",
    coupling: str = "affine",
    preprocessing: str = "centre",
    dequantisation: str = "uniform",
    base: str = "normal",
    seed: int | None = None,
) -> FlowModel:
    """A multi-scale flow of steps (layer `name`, ActNorm, 1 x 1 convolution, coupling).

    Parameters
    ----------
    name: of the layer under comparison, a key of `FLOWS`; ``"glow"`` has nothing but the rest.
    image_shape: `(C, H, W)`, the sides divisible by ``2 ** levels``.
    levels, steps: L, and K per level.
    kernel_size: of the layer, where it has one.
    width: hidden channels of the coupling networks.
    num_classes: makes the model conditional on int64 labels `(B,)`, its `context`.
    corners: of the steps of ``"inverse"``. ``"cycle"``: one inverse convolution per step, from another corner at each.
        ``"chain"``: four, one from every corner.
    coupling: ``"affine"`` or ``"spline"``.
    preprocessing: ``"centre"``: subtract 1/2. ``"logit"``: `Logit`, for images with much black or white.
        ``"gaussianise"``: `Gaussianise`, for images of which few grey levels hold the most.
    dequantisation: ``"uniform"`` or ``"variational"``.
    base: density of the latent, ``"normal"`` or ``"logistic"``.
    seed: of the initial parameters; by default they come from torch's global generator.

    Returns
    -------
    `FlowModel`; ``build_flow(**model.config)`` builds its like.

    Examples
    --------
    >>> model = build_flow("inverse", (1, 8, 8), levels=2, steps=1, width=8, seed=0).eval()
    >>> images = model.sample(3, generator=torch.Generator().manual_seed(0))
    >>> images.shape, model.log_prob(images).shape
    (torch.Size([3, 1, 8, 8]), torch.Size([3]))
    """
    if name not in FLOWS:
        raise ValueError(f"name: unknown flow {name!r}, allowed are {', '.join(FLOWS)}")
    for option, value, allowed in (
        ("corners", corners, _CORNERS),
        ("coupling", coupling, _COUPLINGS),
        ("preprocessing", preprocessing, _PREPROCESSING),
        ("dequantisation", dequantisation, _DEQUANTISATION),
        ("base", base, _BASES),
    ):
        if value not in allowed:
            raise ValueError(f"{option}: unknown {value!r}, allowed are {', '.join(allowed)}")
    config = {
        "name": name,
        "image_shape": list(image_shape),
        "levels": levels,
        "steps": steps,
        "kernel_size": kernel_size,
        "width": width,
        "num_classes": num_classes,
        "corners": corners,
        "coupling": coupling,
        "preprocessing": preprocessing,
        "dequantisation": dequantisation,
        "base": base,
    }

    solved_from = itertools.cycle(_CORNERS[corners])

    def step(shape: tuple[int, int, int]) -> Flow:
        units = FLOWS[name](shape, kernel_size, next(solved_from))
        return Step(units, shape[0], _COUPLINGS[coupling](shape[0], width, num_classes=num_classes))

    with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.random.default_generator.manual_seed(seed)
        return FlowModel(
            image_shape,
            step,
            levels=levels,
            steps=steps,
            preprocessing=_PREPROCESSING[preprocessing](),
            dequantisation=_DEQUANTISATION[dequantisation](image_shape[0]),
            base=_BASES[base](),
            config=config,
        )


def InverseFlow(image_shape: Sequence[int], *, levels: int, steps: int, **options) -> FlowModel:
    """Inverse-Flow: ``build_flow("inverse", ...)``. The density runs exact solves, sampling plain convolutions."""
    return build_flow("inverse", image_shape, levels=levels, steps=steps, **options)
