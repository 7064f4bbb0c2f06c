"""All that changes while a model is trained, as tensors and a few numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .averaging import averaged_copy
from .settings import Settings

__all__ = ["TrainingState", "model_tensors"]

_MODEL, _AVERAGE, _OPTIMISER = "model.", "average.", "optimiser."


class TrainingState:
    """Model, average and optimiser, and how far they got.

    Randomness needs no place here, see `deconv.training.order`: it follows from the step.

    Parameters
    ----------
    model : nn.Module
        Trained in place.
    settings : Settings
        The numbers of the run.

    Attributes
    ----------
    step : int
        Updates made.
    seconds : float
        Spent on them.
    best : float
        The best figure in validation so far.
    """

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        self.model = model
        self.average = averaged_copy(model, settings.average) if settings.average else None
        self.optimiser = torch.optim.Adam(
            model.parameters(), lr=settings.learning_rate, betas=settings.betas, fused=True
        )
        self.step = 0
        self.seconds = 0.0
        self.best = math.inf

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated and written: the average, where there is one."""
        return self.model if self.average is None else self.average.module

    def tensors(self) -> dict[str, Tensor]:
        found = {f"{_MODEL}{name}": value for name, value in self.model.state_dict().items()}
        if self.average is not None:
            found |= {f"{_AVERAGE}{name}": value for name, value in self.average.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                found[f"{_OPTIMISER}{name}/{key}"] = value
        return found

    def numbers(self) -> dict[str, Any]:
        return {"step": self.step, "seconds": self.seconds, "best": self.best if math.isfinite(self.best) else None}

    def load(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take over what `tensors` and `numbers` gave; RuntimeError where they are of another model."""
        self.model.load_state_dict(_under(_MODEL, tensors))
        if self.average is not None:
            self.average.load_state_dict(_under(_AVERAGE, tensors))
        moments: dict[str, dict[str, Tensor]] = {}
        parameters = dict(self.model.named_parameters())
        for place, value in _under(_OPTIMISER, tensors).items():
            name, _, key = place.rpartition("/")
            moments.setdefault(name, {})[key] = value
        whole = self.optimiser.state_dict()
        whole["state"] = {i: moments[name] for i, name in enumerate(parameters) if name in moments}
        self.optimiser.load_state_dict(whole)
        self.step, self.seconds = numbers["step"], numbers["seconds"]
        self.best = math.inf if numbers["best"] is None else numbers["best"]


def model_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a checkpoint's tensors those of the model: the averaged ones, where there are any."""
    return _under(f"{_AVERAGE}module.", tensors) or _under(_MODEL, tensors)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
