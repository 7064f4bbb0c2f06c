"""The flows that the benchmark compares: one backbone, one number of parameters, another layer in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..choices import check_choice
from ..flows import FLOWS, FlowModel, build_flow
from ..flows.build import PreprocessingName

__all__ = ["CHAIN", "SHAPES", "Backbone", "Contestant", "contestants", "images"]

# Inverse-Flow with the four corners in every step.
CHAIN = "inverse:chain"

# `(C, H, W)` of the data sets of the papers' tables.
SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32), "imagenet64": (3, 64, 64)}


@dataclass(frozen=True)
class Backbone:
    """What all the flows have in common.

    Parameters
    ----------
    shape : tuple of int
        `(C, H, W)` of the images.
    levels, steps, kernel_size : int
        See `deconv.flows.build_flow`.
    width : int
        Hidden channels of the couplings, in the flow ``"inverse"``.
    preprocessing : {"centre", "logit", "gaussianise"}
        See `deconv.flows.build_flow`.
    logit_alpha : float
        See `deconv.flows.build_flow`.
    """

    shape: tuple[int, int, int]
    levels: int = 2
    steps: int = 4
    kernel_size: int = 3
    width: int = 32
    preprocessing: PreprocessingName = "logit"
    logit_alpha: float = 0.05

    def build(self, name: str, *, width: int | None = None, device: str = "cpu") -> FlowModel:
        """A flow that has seen images, so that no layer waits for them."""
        model = self.untouched(name, width=width, device=device)
        model.initialise(images(16, self.shape, device) / 255)
        return model

    def untouched(self, name: str, *, width: int | None = None, device: str = "cpu", seed: int = 0) -> FlowModel:
        """A flow that will start from the first images it is trained on."""
        return build_flow(
            "inverse" if name == CHAIN else name,
            self.shape,
            levels=self.levels,
            steps=self.steps,
            kernel_size=self.kernel_size,
            width=width or self.width,
            corners="chain" if name == CHAIN else "cycle",
            preprocessing=self.preprocessing,
            logit_alpha=self.logit_alpha,
            seed=seed,
        ).to(device)


@dataclass(frozen=True)
class Contestant:
    """A flow, and the width of its couplings at which it has the same number of parameters as the others."""

    name: str
    width: int
    model: FlowModel

    @property
    def parameters(self) -> int:
        return _parameters(self.model)


def contestants(backbone: Backbone, names: Sequence[str], *, matched: bool, device: str) -> list[Contestant]:
    """The flows `names`, which have seen images.

    Parameters
    ----------
    matched : bool
        With as many parameters as ``"inverse"`` of the given width; otherwise of the same width.
    """
    target = _parameters(backbone.untouched("inverse"))
    found = []
    for name in names:
        check_choice("layers", name, [*FLOWS, CHAIN])
        width = _matching_width(backbone, name, target) if matched else backbone.width
        found.append(Contestant(name, width, backbone.build(name, width=width, device=device)))
    return found


def images(count: int, shape: Sequence[int], device: str = "cpu") -> Tensor:
    """Smooth random images, uint8, so that a flow meets neighbours that resemble each other."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, shape[0], 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=tuple(shape[1:]), mode="bicubic", align_corners=False)
    return (255 * smooth.clamp(0, 1)).to(torch.uint8).to(device)


def _parameters(model: FlowModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _matching_width(backbone: Backbone, name: str, target: int) -> int:
    """By bisection, as parameters grow with the width; not below a quarter, for a layer that has many of its own."""
    low, high = max(1, backbone.width // 4), 2 * backbone.width + 16
    while high - low > 1:
        middle = (low + high) // 2
        if _parameters(backbone.untouched(name, width=middle)) <= target:
            low = middle
        else:
            high = middle
    return low
