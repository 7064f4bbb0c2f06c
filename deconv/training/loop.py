"""The training loop: any module, any figure to be minimised, any set of images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from .augmentation import augment
from .checkpoint import read_checkpoint, write_checkpoint
from .data import Batch, Splits
from .distributed import Workers
from .evaluation import evaluate
from .log import Log
from .nonfinite import blame, first_bad_gradient
from .objective import Criterion, Objective
from .order import ShardOrder, Stream, generator_for
from .progress import Reporter
from .settings import Settings, learning_rate
from .state import TrainingState

__all__ = ["CHECKPOINT", "MODEL", "Fitted", "fit"]

CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"

_ROWS_PER_VALIDATION = 10

Row = dict[str, Any]


@dataclass
class Fitted:
    """What training leaves: the (averaged) model in evaluation mode, its steps and seconds, and its curve.

    history: one row for each line of the log, with the columns `deconv.training.log.COLUMNS`.
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
    folder: Path | None = None,
    resume: bool = False,
    record: Mapping[str, Any] | None = None,
    workers: Workers | None = None,
    loaders: int = 0,
    save_seconds: float = 60.0,
    tensorboard: bool = False,
    callback: Callable[[Row, nn.Module], bool | None] | None = None,
    progress: bool | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Fitted:
    """Minimise the mean of ``objective.loss`` over the training images by Adam.

    On a CPU with a given number of threads, what comes out follows from the arguments alone, bit for bit, also when
    the run was killed and taken up again; with a time limit it follows from the clock, too.

    Parameters
    ----------
    model: trained in place, on the device it is on.
    folder: where ``checkpoint.safetensors``, ``model.safetensors`` (the model that did best in validation, averaged)
        and ``log.csv`` go. None: nothing is written.
    resume: go on from the checkpoint in `folder`.
    record: kept with every file, what is needed to build the model again.
    workers: the processes that train together; None: this one alone.
    loaders: processes that read images ahead; 0 for images in memory.
    save_seconds: the least time between two checkpoints; another is written at every evaluation.
    callback: called as ``callback(row, model)`` after each evaluation, in the first process; stops the run by
        returning True.
    progress: None: on standard error; False: be silent.
    clock: what measures ``settings.time_limit``.

    Raises
    ------
    FloatingPointError: the loss or a gradient is not finite; the message names the step, the layer, and the last
        good checkpoint, which is kept.
    ValueError: a checkpoint is damaged or of another model; shards that the processes cannot share evenly.
    """
    settings = settings or Settings()
    workers = workers or Workers(0, 1, next(model.parameters()).device)
    if settings.shards % workers.count:
        raise ValueError(f"shards: expected a multiple of the {workers.count} processes, given {settings.shards}")
    run = _Run(model, data, objective, settings, workers, folder if workers.first else None, dict(record or {}))
    if resume:
        run.load(Path(folder) / CHECKPOINT)
    else:
        run.initialise()
    log = Log(run.folder, step=run.state.step, tensorboard=tensorboard) if run.folder else None
    history: list[Row] = []
    state, before, started = run.state, run.state.seconds, clock()
    saved, window = clock(), _Window()

    shown = progress if workers.first else False
    reporter = Reporter(settings, objective.name, first_step=state.step, shown=shown)
    with reporter:
        batches = run.batches(loaders)
        every = max(1, settings.validate_every // _ROWS_PER_VALIDATION)
        stop = state.step >= settings.steps
        while not stop:
            loss, norm = run.step(batches)
            now = clock()
            state.seconds = before + now - started
            if settings.time_limit is not None:
                state.seconds = workers.from_first(state.seconds)
            window.add(loss, norm)
            reporter.step(state.step, state.seconds, loss)
            stop = state.step >= settings.steps or (
                settings.time_limit is not None and state.seconds >= settings.time_limit
            )
            judged = stop or state.step % settings.validate_every == 0
            if judged or state.step % every == 0:
                row = run.row(window, state.seconds)
                if judged:
                    row |= run.validate()
                    reporter.row(row)
                history.append(row)
                if log is not None:
                    log.write(row)
                if judged and workers.first and callback is not None:
                    stop = bool(callback(row, state.evaluated)) or stop
                if judged:
                    stop = bool(workers.from_first(float(stop)))
                window = _Window()
            if judged or clock() - saved >= save_seconds:
                run.save()
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


@dataclass
class _Run:
    """The parts of a run and what is done with them."""

    model: nn.Module
    data: Splits
    objective: Objective
    settings: Settings
    workers: Workers
    folder: Path | None
    record: dict[str, Any]

    def __post_init__(self) -> None:
        self.shards = range(self.workers.rank, self.settings.shards, self.workers.count)

    def initialise(self) -> None:
        """Start the model from the first batch, the whole of it in every process."""
        if self.objective.initialise is not None:
            order = ShardOrder(
                len(self.data.train), self.settings.batch_size, range(1), 1,
                seed=self.settings.seed, first_step=0, last_step=1,
            )  # fmt: skip
            batch = self.data.train.__getitems__(next(iter(order))).to(self.workers.device)
            generator = self._generator(Stream.MODEL)
            with torch.no_grad():
                self.objective.initialise(self.model, batch, generator)
        self._prepare()

    def load(self, path: Path) -> None:
        tensors, record = read_checkpoint(path)
        self._prepare()
        try:
            self.state.load(tensors, record["state"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: is of another model or run ({str(error).splitlines()[0]})") from None

    def _prepare(self) -> None:
        self.state = TrainingState(self.model, self.settings)
        self.criterion = self.workers.wrap(Criterion(self.model, self.objective.loss))
        self.model.train()

    def batches(self, loaders: int) -> Iterator[Batch]:
        """The batches of this process's shards, from the present step on."""
        order = ShardOrder(
            len(self.data.train), self.settings.batch_size, self.shards, self.settings.shards,
            seed=self.settings.seed, first_step=self.state.step, last_step=self.settings.steps,
        )  # fmt: skip
        return iter(
            DataLoader(
                self.data.train,
                batch_sampler=order,
                collate_fn=_as_fetched,
                num_workers=loaders,
                pin_memory=self.workers.device.type == "cuda",
                generator=torch.Generator(),  # else it would draw from the global one
            )
        )

    def step(self, batches: Iterator[Batch]) -> tuple[float, float]:
        """One update; the loss of this process and the norm of the gradient."""
        state, settings = self.state, self.settings
        for group in state.optimiser.param_groups:
            group["lr"] = learning_rate(settings, state.step, state.seconds)
        state.optimiser.zero_grad()
        total = 0.0
        for shard in self.shards:
            batch = next(batches).to(self.workers.device)
            flips = self._generator(Stream.AUGMENTATION, state.step, shard)
            batch = batch._replace(images=augment(batch.images, settings.augmentation, flips))
            alone = self.workers.count == 1 or shard == self.shards[-1]
            with nullcontext() if alone else self.criterion.no_sync():
                loss = self._loss(batch, shard)
                loss = loss / len(self.shards)
                loss.backward()
            total += float(loss.detach())
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters])
        if not norm.isfinite():
            raise FloatingPointError(self._failure(f"{first_bad_gradient(self.model)} is not finite"))
        if settings.clip:
            nn.utils.clip_grads_with_norm_(parameters, settings.clip, norm)
        state.optimiser.step()
        if state.average is not None:
            state.average.update_parameters(self.model)
        state.step += 1
        return total, float(norm)

    def _loss(self, batch: Batch, shard: int) -> torch.Tensor:
        def noise() -> torch.Generator:
            return self._generator(Stream.NOISE, self.state.step, shard)

        try:
            with self._precision():
                loss = self.criterion(batch, noise())
            finite = bool(loss.isfinite())
        except FloatingPointError:
            finite = False
        if not finite:
            with self._precision():
                culprit = blame(self.model, lambda: self.objective.loss(self.model, batch, noise()))
            raise FloatingPointError(self._failure(f"the loss is not finite, and first so in {culprit}"))
        return loss

    def _precision(self) -> torch.autocast:
        lowered = self.settings.precision != "float32"
        return torch.autocast(self.workers.device.type, torch.bfloat16, enabled=lowered)

    def _failure(self, what: str) -> str:
        path = None if self.folder is None else self.folder / CHECKPOINT
        kept = f"; {path} holds the last good state" if path is not None and path.exists() else ""
        return f"step {self.state.step}: {what}; a smaller learning rate may help{kept}"

    def _generator(self, stream: Stream, *place: int) -> torch.Generator:
        return generator_for(self.workers.device, self.settings.seed, stream, *place)

    def row(self, window: _Window, seconds: float) -> Row:
        state, settings = self.state, self.settings
        elapsed = max(time.monotonic() - window.begun, 1e-9)
        loss = self.workers.sum(torch.tensor(window.loss, device=self.workers.device, dtype=torch.float64))
        return {
            "step": state.step,
            "epoch": round(state.step * settings.batch_size / len(self.data.train), 3),
            "seconds": round(seconds, 2),
            "train": float(loss) / (window.steps * self.workers.count),
            "validation": None,
            "standard_error": None,
            "learning_rate": learning_rate(settings, state.step - 1, seconds),
            "gradient_norm": window.norm,
            "images_per_second": round(window.steps * settings.batch_size / elapsed, 1),
        }

    def validate(self) -> Row:
        """Evaluate on the validation part; keep the model if none was better."""
        state = self.state
        score = evaluate(
            state.evaluated,
            self.data.validation,
            self.objective,
            limit=self.settings.validation_images,
            seed=self.settings.seed,
            workers=self.workers,
        )
        if score.mean < state.best:
            state.best = score.mean
            if self.folder is not None:
                tensors = {f"model.{name}": value for name, value in state.evaluated.state_dict().items()}
                record = self.record | {"state": state.numbers(), "figure": self.objective.name}
                write_checkpoint(self.folder / MODEL, tensors, record)
        return {"validation": score.mean, "standard_error": score.standard_error}

    def save(self) -> None:
        if self.folder is not None:
            record = self.record | {"state": self.state.numbers(), "figure": self.objective.name}
            write_checkpoint(self.folder / CHECKPOINT, self.state.tensors(), record)


def _as_fetched(batch: Batch) -> Batch:
    return batch
