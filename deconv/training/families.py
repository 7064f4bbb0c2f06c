"""The kinds of models that can be trained: how one is built, and what is minimised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .data import Batch
from .objective import Objective
from .priors import DENOISING, build_prior

__all__ = ["BITS_PER_DIM", "FAMILIES", "Family", "draw"]


@dataclass(frozen=True)
class Family:
    """One row.

    build: ``build(**config)``, a module whose attribute ``config`` is what builds it again, fit for JSON.
    objective: what is minimised and reported.
    draws: whether the module has ``sample(n, *, temperature, context, generator)``.
    """

    build: Callable[..., nn.Module]
    objective: Objective
    draws: bool = True


def _build_flow(**config: object) -> nn.Module:
    from ..flows import build_flow

    return build_flow(**config)


def _bits_per_dim(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    from ..flows import bits_per_dim

    return bits_per_dim(model, batch.images, context=_context(model, batch.labels), generator=generator)


def _initialise(model: nn.Module, batch: Batch, generator: torch.Generator) -> None:
    from ..flows import bits_per_dim

    model.train()
    bits_per_dim(model, batch.images, context=_context(model, batch.labels), generator=generator)


def _context(model: nn.Module, labels: Tensor | None) -> Tensor | None:
    return labels if model.config.get("num_classes") else None


BITS_PER_DIM = Objective("bits/dim", _bits_per_dim, _initialise)

FAMILIES: dict[str, Family] = {
    "flow": Family(_build_flow, BITS_PER_DIM),
    "prior": Family(build_prior, DENOISING, draws=False),
}


def draw(
    model: nn.Module,
    count: int,
    *,
    temperature: float = 1.0,
    label: int | None = None,
    generator: torch.Generator,
) -> Tensor:
    """Images drawn from a model, `(count, C, H, W)`; from a conditional one of one label, or of all in turn."""
    classes = model.config.get("num_classes")
    if label is not None and not (classes and 0 <= label < classes):
        allowed = f"allowed are 0 to {classes - 1}" if classes else "and the model is not conditional"
        raise ValueError(f"label: given {label}, {allowed}")
    context = None
    if classes:
        labels = torch.arange(count) % classes if label is None else torch.full((count,), label)
        context = labels.to(generator.device)
    with torch.no_grad():
        return model.sample(count, temperature=temperature, context=context, generator=generator)
