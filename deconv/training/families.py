"""The kinds of models that can be trained: how one is built, and what is minimised."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..flows import FlowModel, bits_per_dim, build_flow
from ..prior import ImagePrior, save_prior
from ..prior.flow_config import check_config as check_prior_config
from ..restore.networks import save_network
from ..restore.unrolled import check_config as check_unrolled_config
from .data import Batch
from .objective import Objective
from .prior import DENOISING, build_prior
from .restoration import RESTORATION, build_unrolled

__all__ = ["BITS_PER_DIM", "FAMILIES", "Family", "draw", "model_config"]

# Values of an image that no model is for: files that announce more are forged or damaged.
_LARGEST_IMAGE = 2**26


@dataclass(frozen=True)
class Family:
    """One kind of model.

    Parameters
    ----------
    build : callable
        ``build(**config)``, a module whose attribute ``config`` is what builds it again, fit for JSON.
    objective : Objective
        What is minimised and reported.
    check : callable
        ``check(config, held)`` raises ValueError for a configuration whose module could not be made of the `held`
        numbers of a file; called before anything is built.
    draws : bool
        Whether the module has ``sample(n, *, temperature, context, generator)``.
    save : callable, optional
        ``save(model, path, record=record)`` writes a model for use elsewhere, with what else is to be known of it. By
        default ``deconv export`` writes a sampler.
    """

    build: Callable[..., nn.Module]
    objective: Objective
    check: Callable[[Mapping[str, Any], int], None]
    draws: bool = True
    save: Callable[..., None] | None = None


def model_config(model: nn.Module) -> Mapping[str, Any]:
    """What builds the like of a model of a family."""
    return cast(Mapping[str, Any], model.config)


def _check_flow(config: Mapping[str, Any], held: int) -> None:
    shape, numbers = config["image_shape"], {name: config[name] for name in ("levels", "steps", "width", "kernel_size")}
    for name, value in numbers.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: expected a whole number from 1 on, given {value!r}")
    if len(shape) != 3 or any(not isinstance(n, int) or n < 1 for n in shape) or math.prod(shape) > _LARGEST_IMAGE:
        raise ValueError(f"image_shape: expected (C, H, W) of at most {_LARGEST_IMAGE:,} values, given {shape!r}")
    levels, steps, width, kernel = numbers.values()
    # A step has at least a mixing matrix, a kernel, and a network with two hidden layers and perhaps labels.
    step = (4 * shape[0]) ** 2 + kernel**2 + width * (width + (config.get("num_classes") or 0))
    if levels * steps * step > held:
        raise ValueError(f"its configuration announces at least {levels * steps * step:,} numbers, it holds {held:,}")


def _bits_per_dim(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    context = batch.labels if model_config(model).get("num_classes") else None
    return bits_per_dim(cast(FlowModel, model), batch.images, context=context, generator=generator)


def _initialise(model: nn.Module, batch: Batch, generator: torch.Generator) -> None:
    _bits_per_dim(model.train(), batch, generator)


def _save_prior(model: nn.Module, path: str | os.PathLike, *, record: Mapping[str, Any]) -> None:
    save_prior(cast(ImagePrior, model), path)


BITS_PER_DIM = Objective("bits/dim", _bits_per_dim, _initialise, capturable=True)

FAMILIES: dict[str, Family] = {
    "flow": Family(build_flow, BITS_PER_DIM, _check_flow),
    "prior": Family(build_prior, DENOISING, check_prior_config, draws=False, save=_save_prior),
    "network": Family(build_unrolled, RESTORATION, check_unrolled_config, draws=False, save=save_network),
}


def draw(
    model: nn.Module,
    count: int,
    *,
    temperature: float = 1.0,
    label: int | None = None,
    generator: torch.Generator,
) -> Tensor:
    """Draw images from a model.

    Parameters
    ----------
    model : nn.Module
        Of a family that draws.
    count : int
        How many.
    temperature : float
        Standard deviation of the latent; less than 1 gives likelier, less varied images.
    label : int, optional
        Of a conditional model: all of this label. By default, labels in turn.
    generator : torch.Generator
        Source of the randomness, on the model's device.

    Returns
    -------
    Tensor
        `(count, C, H, W)` in [0, 1].

    Raises
    ------
    ValueError
        A label that the model does not know.
    """
    classes = model_config(model).get("num_classes")
    if label is not None and not (classes and 0 <= label < classes):
        allowed = f"allowed are 0 to {classes - 1}" if classes else "and the model is not conditional"
        raise ValueError(f"label: given {label}, {allowed}")
    context = None
    if classes:
        labels = torch.arange(count) % classes if label is None else torch.full((count,), label)
        context = labels.to(generator.device)
    with torch.no_grad():
        return cast(FlowModel, model).sample(count, temperature=temperature, context=context, generator=generator)
