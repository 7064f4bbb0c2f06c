"""Trained models: built from a configuration, read from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ..choices import check_choice
from .checkpoint import CHECKPOINT, MODEL, read_checkpoint
from .data import Splits
from .families import FAMILIES, Family
from .order import Stream, seed_for
from .run_config import RunConfig
from .state import model_tensors

__all__ = ["Trained", "build_model", "load_model"]


class Trained(NamedTuple):
    """A trained model.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    config : RunConfig
        Of the run that it comes from.
    family : Family
        What kind of model it is.
    steps : int
        It was trained for.
    """

    model: nn.Module
    config: RunConfig
    family: Family
    steps: int


def build_model(config: RunConfig, data: Splits) -> nn.Module:
    """The untrained model of a run; the same for the same seed, and nothing drawn from the global generator.

    Parameters
    ----------
    config : RunConfig
        Of the run.
    data : Splits
        Its images, whose shape and number of classes the model takes.

    Returns
    -------
    nn.Module
        On the CPU.
    """
    check_choice("family", config.family, FAMILIES)
    options: dict[str, Any] = {**config.model, "image_shape": list(data.shape)}
    if config.conditional:
        if data.num_classes is None:
            raise ValueError(f"conditional: the data set {config.data} has no labels")
        options["num_classes"] = data.num_classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(config.settings.seed, Stream.MODEL))
        return FAMILIES[config.family].build(**options)


def load_model(path: str | os.PathLike, *, device: str | torch.device = "cpu") -> Trained:
    """The model in a file that training wrote: averaged parameters, where there are any.

    Parameters
    ----------
    path : path-like
        A checkpoint or a ``model.safetensors``, or the folder of a run: then the model that did best in validation.
    device : str or torch.device
        Where to put it.

    Returns
    -------
    Trained
        The model with what it comes from.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is damaged, or of a kind that cannot be built; the message says why.
    """
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in (MODEL, CHECKPOINT) if (path / name).exists()), path / MODEL)
    tensors, record = read_checkpoint(path)
    tensors = model_tensors(tensors)
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise ValueError(f"{path}: {name} holds values that are not finite")
    try:
        config, steps = RunConfig.from_json(record["run"]), record["state"]["step"]
        family = FAMILIES[config.family]
        family.check(record["model"], sum(value.numel() for value in tensors.values()))
        model = family.build(**record["model"])
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(f"{path}: not a model that this version can build ({why})") from None
    return Trained(model.to(device).eval(), config, family, steps)
