"""How to train: the numbers of a run, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ..choices import check_choice
from .augmentation import Augmentation

__all__ = ["Settings", "learning_rate", "share_done"]

Decay: TypeAlias = Literal["cosine", "linear", "none"]
Precision: TypeAlias = Literal["float32", "bfloat16", "auto"]


@dataclass(frozen=True)
class Settings:
    """The numbers of a run.

    Parameters
    ----------
    steps : int
        Updates of the parameters.
    batch_size : int
        Images of an update, over all processes.
    shards : int
        Equal parts that a batch is computed in; a multiple of the number of processes. What a run computes depends on
        it (each shard has its own noise), and not on the number of processes.
    learning_rate : float
        Of Adam, at its largest.
    betas : pair of float
        Adam's decay rates.
    warmup : int
        Steps over which the rate rises from 0.
    decay : {"cosine", "linear", "none"}
        How it falls to 0 afterwards.
    clip : float
        Largest norm of the gradient; a longer one is shortened. 0: never.
    average : float
        Decay of the exponential moving average of the parameters, which is what is evaluated and written; 0: none.
    augmentation : {"none", "flip", "dihedral"}
        ``"flip"``: left to right, at random; ``"dihedral"``: all eight symmetries of the square.
    precision : {"float32", "bfloat16", "auto"}
        ``"bfloat16"`` trains under autocast, which is for the networks inside the layers; the layers themselves compute
        in float32. Evaluation always does. ``"auto"``: that, but ``"float32"`` on a processor that emulates bfloat16.
    seed : int
        Of everything random in the run.
    time_limit : float, optional
        Seconds after which to stop; the decay then ends there too.
    validate_every : int
        Steps between two evaluations.
    validation_images : int
        Images of the validation part that are used; 0: all.

    Raises
    ------
    ValueError
        A number out of its range; the message names it.
    """

    steps: int = 2000
    batch_size: int = 64
    shards: int = 1
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 100
    decay: Decay = "cosine"
    clip: float = 50.0
    average: float = 0.999
    augmentation: Augmentation = "none"
    precision: Precision = "float32"
    seed: int = 0
    time_limit: float | None = None
    validate_every: int = 500
    validation_images: int = 1000

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))  # JSON has lists only
        for name in ("steps", "batch_size", "shards", "validate_every"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("warmup", "clip", "seed", "validation_images"):
            _check(name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
        _check("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "a positive number")
        _check("betas", self.betas, len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "two of [0, 1)")
        _check("average", self.average, 0 <= self.average < 1, "a number in [0, 1)")
        _check("time_limit", self.time_limit, self.time_limit is None or self.time_limit > 0, "a positive number")
        check_choice("decay", self.decay, get_args(Decay))
        check_choice("augmentation", self.augmentation, get_args(Augmentation))
        check_choice("precision", self.precision, get_args(Precision))
        if self.batch_size % self.shards:
            raise ValueError(f"shards: must divide batch_size, given {self.shards} and {self.batch_size}")


def _check(name: str, value: object, fine: bool, allowed: str) -> None:
    if not fine:
        raise ValueError(f"{name}: expected {allowed}, given {value!r}")


def share_done(settings: Settings, step: int, seconds: float) -> float:
    """How much of a run is over, from 0 to 1, after so many steps and seconds."""
    done = step / settings.steps
    return min(1.0, done if settings.time_limit is None else max(done, seconds / settings.time_limit))


def learning_rate(settings: Settings, step: int, seconds: float) -> float:
    """The rate of a step, counted from 0, after so many seconds of training."""
    done = share_done(settings, step, seconds)
    fall = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "none": 1.0}[settings.decay]
    return settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup)) * fall
