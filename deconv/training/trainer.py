"""One update of the parameters, one evaluation, one checkpoint: the parts of a training run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ..imaging.tensors import write_tensors
from .augmentation import augment
from .checkpoint import CHECKPOINT, MODEL, read_checkpoint
from .data import Batch, Splits
from .distributed import Workers
from .evaluation import Score, evaluate
from .nonfinite import first_nonfinite_gradient, first_nonfinite_layer
from .objective import Criterion, Objective
from .order import ShardOrder, Stream, generator_for
from .settings import Settings, learning_rate
from .state import TrainingState

__all__ = ["Trainer"]


@dataclass
class Trainer:
    """A model, the images that it learns from, and what has been learnt.

    Parameters
    ----------
    model : nn.Module
        Trained in place.
    data : Splits
        The images.
    objective : Objective
        What is minimised.
    settings : Settings
        The numbers of the run.
    workers : Workers
        The processes that train together, and which of them this is.
    folder : Path, optional
        Where the files go; by default nothing is written.
    record : mapping
        Stored with every file: what is needed to build the model again.
    """

    model: nn.Module
    data: Splits
    objective: Objective
    settings: Settings
    workers: Workers
    folder: Path | None
    record: Mapping[str, Any]

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
        """Go on from a checkpoint."""
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
        loader = DataLoader(
            cast(Dataset[Batch], self.data.train),
            batch_sampler=order,
            collate_fn=_as_fetched,
            num_workers=loaders,
            pin_memory=self.workers.device.type == "cuda",
            generator=torch.Generator(),  # else it would draw from the global one
        )
        return iter(loader)

    def step(self, batches: Iterator[Batch]) -> tuple[float, float]:
        """Update the parameters once; the loss of this process and the norm of the gradient."""
        state, settings = self.state, self.settings
        for group in state.optimiser.param_groups:
            group["lr"] = learning_rate(settings, state.step, state.seconds)
        state.optimiser.zero_grad()
        total = 0.0
        for shard in self.shards:
            batch = next(batches).to(self.workers.device)
            flips = self._generator(Stream.AUGMENTATION, state.step, shard)
            batch = batch._replace(images=augment(batch.images, settings.augmentation, flips))
            last = shard == self.shards[-1]
            with nullcontext() if last else self.workers.unsynchronised(self.criterion):
                loss = self._loss(batch, shard) / len(self.shards)
                loss.backward()
            total += float(loss.detach())
        gradients = {p: p.grad for p in self.model.parameters() if p.grad is not None}
        norm = nn.utils.get_total_norm(list(gradients.values()))
        if not norm.isfinite():
            raise FloatingPointError(self._failure(f"{first_nonfinite_gradient(self.model)} is not finite"))
        if settings.clip:
            nn.utils.clip_grads_with_norm_(list(gradients), settings.clip, norm)
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
            if loss.isfinite():
                return loss
        except FloatingPointError:
            pass
        with self._precision():
            layer = first_nonfinite_layer(self.model, lambda: self.objective.loss(self.model, batch, noise()))
        raise FloatingPointError(self._failure(f"the loss is not finite, and first so in {layer}"))

    def _precision(self) -> torch.autocast:
        lowered = self.settings.precision != "float32"
        return torch.autocast(self.workers.device.type, torch.bfloat16, enabled=lowered)

    def _failure(self, what: str) -> str:
        path = None if self.folder is None else self.folder / CHECKPOINT
        remains = f"; {path} holds the last good state" if path is not None and path.exists() else ""
        return f"step {self.state.step}: {what}; a smaller learning rate may help{remains}"

    def _generator(self, stream: Stream, *place: int) -> torch.Generator:
        return generator_for(self.workers.device, self.settings.seed, stream, *place)

    def validate(self) -> Score:
        """Evaluate on the validation part; write the model if none was better."""
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
            self._write(MODEL, {f"model.{name}": value for name, value in state.evaluated.state_dict().items()})
        return score

    def save(self) -> None:
        """Write what is needed to go on."""
        self._write(CHECKPOINT, self.state.tensors())

    def _write(self, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
        if self.folder is not None:
            record = {**self.record, "state": self.state.numbers(), "figure": self.objective.name}
            write_tensors(self.folder / name, tensors, record)


def _as_fetched(batch: Any) -> Batch:
    """What ``__getitems__`` gave is a batch already."""
    return batch
