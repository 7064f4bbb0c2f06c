"""The training loop: any module, any figure to be minimised, any set of images."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checkpoint import CHECKPOINT
from .data import Splits
from .distributed import Workers
from .log import Log, Row
from .objective import Objective
from .report import Report
from .settings import Settings, learning_rate
from .trainer import Trainer

__all__ = ["Fitted", "fit"]

_ROWS_PER_VALIDATION = 10


@dataclass
class Fitted:
    """What training leaves.

    Parameters
    ----------
    model : nn.Module
        The averaged model, or the model itself where nothing is averaged, in evaluation mode.
    steps : int
        Updates made.
    seconds : float
        Spent on them.
    history : list of dict
        The curve: a row for each line of the log, with the columns `deconv.training.log.COLUMNS`.
    """

    model: nn.Module
    steps: int
    seconds: float
    history: list[Row] = field(default_factory=list)


def fit(
    model: nn.Module,
    data: Splits,
    objective: Objective,
    settings: Settings | None = None,
    *,
    folder: str | os.PathLike | None = None,
    resume: bool = False,
    record: Mapping[str, Any] | None = None,
    workers: Workers | None = None,
    loaders: int = 0,
    save_seconds: float = 60.0,
    tensorboard: bool = False,
    graph: bool | None = None,
    callback: Callable[[Row, nn.Module], bool | None] | None = None,
    progress: bool | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Fitted:
    """Minimise the mean of ``objective.loss`` over the training images by Adam.

    On a CPU with a given number of threads, what comes out follows from the arguments alone, bit for bit, also when
    the run was killed and taken up again; with a time limit it follows from the clock, too.

    Parameters
    ----------
    model : nn.Module
        Trained in place, on the device it is on.
    data : Splits
        The images.
    objective : Objective
        What is minimised.
    settings : Settings, optional
        The numbers of the run.
    folder : path-like, optional
        Where ``checkpoint.safetensors``, ``model.safetensors`` (the model that did best in validation, averaged) and
        ``log.csv`` go. By default nothing is written.
    resume : bool
        Go on from the checkpoint in `folder`.
    record : mapping, optional
        Stored with every file, what is needed to build the model again.
    workers : Workers, optional
        The processes that train together; by default this one alone.
    loaders : int
        Processes that read images ahead; 0 for images in memory.
    save_seconds : float
        The least time between two checkpoints; another is written at every evaluation.
    tensorboard : bool
        Also log for TensorBoard.
    graph : bool, optional
        Replay losses and gradients from a CUDA graph, see `deconv.training.graph.StaticStep`; the numbers are the same.
        By default on a CUDA device, where the objective is capturable and one process trains.
    callback : callable, optional
        Called as ``callback(row, model)`` after each evaluation, in the first process; stops the run by returning True.
    progress : bool, optional
        By default on standard error; False: be silent.
    clock : callable
        What measures ``settings.time_limit``.

    Returns
    -------
    Fitted
        The model and its curve.

    Raises
    ------
    FloatingPointError
        The loss or a gradient is not finite; the message names the step, the layer, and the last good checkpoint.
    ValueError
        A checkpoint is damaged or of another model; shards that the processes cannot share evenly; a graph for several
        processes.
    """
    settings = settings or Settings()
    workers = workers or Workers(0, 1, next(model.parameters()).device)
    if settings.shards % workers.count:
        raise ValueError(f"shards: expected a multiple of the {workers.count} processes, given {settings.shards}")
    if graph is None:
        graph = workers.device.type == "cuda" and workers.count == 1 and objective.capturable
    elif graph and workers.count > 1:
        raise ValueError(f"graph: several processes, here {workers.count}, exchange gradients, which no graph holds")
    own = Path(folder) if folder is not None and workers.first else None
    trainer = Trainer(model, data, objective, settings, workers, own, record or {}, graph)
    if not resume:
        trainer.initialise()
    elif folder is None:
        raise ValueError("folder: a run that is resumed has one")
    else:
        trainer.load(Path(folder) / CHECKPOINT)
    state = trainer.state
    log = Log(trainer.folder, step=state.step, tensorboard=tensorboard) if trainer.folder else None
    history: list[Row] = []
    before, started = state.seconds, clock()
    saved, window = clock(), _Window()
    every = max(1, settings.validate_every // _ROWS_PER_VALIDATION)
    stop = state.step >= settings.steps
    shown = progress if workers.first else False
    with Report(settings, objective.name, first_step=state.step, shown=shown) as report:
        batches = trainer.batches(loaders)
        while not stop:
            loss, norm = trainer.step(batches)
            state.seconds = before + clock() - started
            if settings.time_limit is not None:
                state.seconds = workers.from_first(state.seconds)
            window.add(loss, norm)
            report.step(state.step, state.seconds, loss)
            stop = state.step >= settings.steps or (
                settings.time_limit is not None and state.seconds >= settings.time_limit
            )
            validating = stop or state.step % settings.validate_every == 0
            if validating or state.step % every == 0:
                row = _row(trainer, window)
                if validating:
                    score = trainer.validate()
                    row |= {"validation": score.mean, "standard_error": score.standard_error}
                    report.row(row, score)
                history.append(row)
                if log is not None:
                    log.write(row)
                if validating and workers.first and callback is not None:
                    stop = bool(callback(row, state.evaluated)) or stop
                if validating:
                    stop = bool(workers.from_first(float(stop)))
                window = _Window()
            if validating or clock() - saved >= save_seconds:
                trainer.save()
                saved = clock()
    return Fitted(state.evaluated.eval(), state.step, state.seconds, history)


@dataclass
class _Window:
    """What has happened since the last row of the log."""

    begun: float = field(default_factory=time.monotonic)
    steps: int = 0
    loss: float = 0.0
    norm: float = 0.0

    def add(self, loss: float, norm: float) -> None:
        self.steps, self.loss, self.norm = self.steps + 1, self.loss + loss, max(self.norm, norm)


def _row(trainer: Trainer, window: _Window) -> Row:
    """The row of the log for the steps of a window."""
    state, settings, workers = trainer.state, trainer.settings, trainer.workers
    elapsed = max(time.monotonic() - window.begun, 1e-9)
    loss = workers.sum(torch.tensor(window.loss, device=workers.device, dtype=torch.float64))
    return {
        "step": state.step,
        "epoch": round(state.step * settings.batch_size / len(trainer.data.train), 3),
        "seconds": round(state.seconds, 2),
        "train": float(loss) / (window.steps * workers.count),
        "validation": None,
        "standard_error": None,
        "learning_rate": learning_rate(settings, state.step - 1, state.seconds),
        "gradient_norm": window.norm,
        "images_per_second": round(window.steps * settings.batch_size / elapsed, 1),
    }
