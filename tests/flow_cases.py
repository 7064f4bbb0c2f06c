"""The table of flow layers that every test of the contract runs over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from deconv import flows


@dataclass(frozen=True)
class Case:
    """One layer, and what can be asked of it.

    build: makes it. shape: of an image that it takes. disturb: how far from the start it is tested.
    exact_inverse, differentiable_inverse, any_size: see `deconv.flows.FlowLayer`. refused: a shape that it refuses.
    unit: images in [0, 1] only. labels: of how many classes.
    """

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, int, int] = (4, 4, 3)
    disturb: float = 0.2
    exact_inverse: bool = True
    differentiable_inverse: bool = True
    any_size: bool = True
    refused: tuple[int, ...] | None = (3, 4, 4)
    unit: bool = False
    labels: int | None = None

    def __str__(self) -> str:
        return self.name

    def layer(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
        """In evaluation, initialised by data, and away from its start, where much is zero."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            layer = self.build().double()
            for module in layer.modules():
                if isinstance(module, flows.DataDependent):
                    module.initialised.fill_(True)
            with torch.no_grad():
                for parameter in layer.parameters():
                    parameter += self.disturb * torch.randn_like(parameter)
        return layer.to(dtype).eval()

    def images(self, batch: int = 2, seed: int = 1, size: tuple[int, int] | None = None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        shape = (batch, self.shape[0], *(size or self.shape[1:]))
        if self.unit:
            return torch.rand(shape, generator=generator, dtype=torch.float64)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def context(self, batch: int = 2) -> torch.Tensor | None:
        return None if self.labels is None else torch.arange(batch) % self.labels


def _named(name: str, **options) -> Callable[[], nn.Module]:
    return lambda: flows.build_flow(name, (1, 4, 4), **({"levels": 1, "steps": 1, "width": 4} | options))


def layers_of_the_table() -> list[Case]:
    """What every row of FLOWS builds, alone."""

    def case(name: str, row: flows.FlowLayer) -> Case:
        layers = row.build((4, 4, 3), 3, ("tl", "br"))
        return Case(f"layer-{name}", lambda: flows.Sequential(*row.build((4, 4, 3), 3, ("tl", "br"))), disturb=0.1,
                    exact_inverse=row.exact_inverse, differentiable_inverse=row.differentiable_inverse,
                    any_size=row.any_size, refused=(3, 4, 4) if layers else None)  # fmt: skip

    return [case(name, row) for name, row in flows.FLOWS.items()]


def models_of_the_table() -> list[Case]:
    """A model of every row of FLOWS."""
    return [
        Case(f"model-{name}", _named(name), (1, 4, 4), unit=True, any_size=False, disturb=0.05, refused=(1, 3, 4),
             exact_inverse=row.exact_inverse, differentiable_inverse=row.differentiable_inverse)
        for name, row in flows.FLOWS.items()
    ]  # fmt: skip


# Layers that are in no row, and other options of those that are.
CASES = [
    Case("actnorm", lambda: flows.ActNorm(4)),
    Case("squeeze", flows.Squeeze, (2, 4, 6), refused=(2, 5, 4)),
    Case("centre", flows.Centre, refused=None),
    Case("logit", flows.Logit, unit=True, refused=None),
    Case("gaussianise", lambda: flows.Gaussianise(8), unit=True, refused=None),
    Case("one-by-one", lambda: flows.OneByOne(4)),
    Case("one-by-one-inverse", lambda: flows.OneByOne(4, direction="inverse")),
    Case("one-by-one-direct", lambda: flows.OneByOne(4, parametrisation="direct")),
    Case("coupling", lambda: flows.AffineCoupling(5, 6), (5, 3, 4), refused=(4, 3, 3)),
    Case("coupling-labels", lambda: flows.AffineCoupling(4, 6, num_classes=3), labels=3),
    Case("spline-coupling", lambda: flows.SplineCoupling(3, 6, bins=5, bound=2.0), (3, 3, 4), refused=(4, 3, 3)),
    Case("split-prior", lambda: flows.SplitPrior(4)),
    Case("inverse-corner", lambda: flows.InverseUnit(4, 2, corners=("tr",), anchor="plu", max_gain=None)),
    Case("finc-plu", lambda: flows.FIncUnit(8, 2, anchor="plu"), (8, 4, 3)),
    Case("cinc-plu", lambda: flows.CIncConvolution(3, 2, anchor="plu", corner="bl"), (3, 4, 5), refused=(4, 4, 4)),
    Case("emerging-3", lambda: flows.EmergingConvolution(3, 3), (3, 4, 5), refused=(4, 4, 4)),
    Case("woodbury", lambda: flows.Woodbury((4, 4, 3), 3), any_size=False, disturb=0.1),
    Case("macow-left", lambda: flows.MaskedAffine(3, (2, 5), order="left", width=4), (3, 4, 5), refused=(4, 4, 4)),
    Case("butterfly-stages", lambda: flows.ButterflyLayer((2, 3, 3), 2), (2, 3, 3), any_size=False),
    Case("mintnet-copies", lambda: flows.MintNetUnit(3, 3, copies=2), (3, 3, 4), differentiable_inverse=False,
         refused=(4, 3, 3)),
    Case("periodic-wide", lambda: flows.PeriodicConvolution(2, 5), (2, 3, 4), refused=(4, 4, 4), disturb=0.02),
    Case("sequential", lambda: flows.Sequential(flows.Squeeze(), flows.ActNorm(4), flows.OneByOne(4)), (1, 4, 6)),
    Case("inverted", lambda: flows.Inverse(flows.AffineCoupling(4, 4))),
]  # fmt: skip

MODELS = [
    Case("model-2-levels", _named("inverse", levels=2, corners="chain", preprocessing="logit"), (1, 4, 4), unit=True,
         any_size=False, disturb=0.05, refused=(1, 6, 4)),
    Case("model-labels", _named("glow", num_classes=3, coupling="spline"), (1, 4, 4), unit=True, any_size=False,
         disturb=0.05, labels=3),
]  # fmt: skip


def small(name: str = "inverse", **options: Any) -> flows.FlowModel:
    """A model of 8 x 8 pixels that is quick."""
    return flows.build_flow(name, (1, 8, 8), **({"levels": 2, "steps": 2, "width": 8, "seed": 0} | options))
