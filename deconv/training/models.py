"""Trained models: built from a plan, read from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from .checkpoint import read_checkpoint
from .data import Splits
from .families import FAMILIES, Family
from .loop import CHECKPOINT, MODEL
from .order import Stream, seed_for
from .run_config import RunConfig
from .state import model_tensors

__all__ = ["Trained", "build_model", "load_model"]


class Trained(NamedTuple):
    """model: in evaluation mode. plan: of the run it comes from. family: what it is. steps: it was trained for."""

    model: nn.Module
    plan: RunConfig
    family: Family
    steps: int


def build_model(plan: RunConfig, data: Splits) -> nn.Module:
    """The untrained model of a plan; the same for the same seed, and nothing drawn from the global generator."""
    config: dict[str, Any] = {**plan.model, "image_shape": list(data.shape)}
    if plan.conditional:
        if data.num_classes is None:
            raise ValueError(f"conditional: the data set {plan.data} has no labels")
        config["num_classes"] = data.num_classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(plan.settings.seed, Stream.MODEL))
        return FAMILIES[plan.family].build(**config)


def load_model(path: str | os.PathLike, *, device: str | torch.device = "cpu") -> Trained:
    """The model in a file that training wrote: averaged parameters, where there are any.

    path: a checkpoint or a ``model.safetensors``, or the folder of a run: then the model that did best in validation.

    Raises
    ------
    FileNotFoundError, ValueError: there is none, or it is damaged; the message says why.
    """
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in (MODEL, CHECKPOINT) if (path / name).exists()), path / MODEL)
    tensors, record = read_checkpoint(path)
    try:
        family = FAMILIES[record["plan"]["family"]]
        model = family.build(**record["config"])
        model.load_state_dict(model_tensors(tensors))
        plan, steps = RunConfig.from_json(record["plan"]), record["state"]["step"]
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: not a model that this version can build ({str(error).splitlines()[0]})") from None
    return Trained(model.to(device).eval(), plan, family, steps)
