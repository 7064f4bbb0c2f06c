"""One update of the parameters, one evaluation, one checkpoint: the parts of a training run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..devices import emulates_bfloat16
from ..imaging.tensors import write_tensors
from .augmentation import augment
from .checkpoint import CHECKPOINT, MODEL, read_checkpoint
from .data import Batch, Splits
from .distributed import Workers
from .evaluation import Score, evaluate
from .graph import RandomSources, StaticStep
from .nonfinite import LOSS_ITSELF, first_nonfinite_gradient, first_nonfinite_layer
from .objective import Criterion, Objective
from .order import ShardOrder, Stream, generator_for, seed_for
from .settings import Settings, learning_rate
from .state import TrainingState

__all__ = ["Trainer"]

# For the augmentation and the noise of each shard.
Seeds: TypeAlias = Sequence[tuple[int, int]]


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
    graph : bool
        Compute losses and gradients by a `StaticStep`.
    """

    model: nn.Module
    data: Splits
    objective: Objective
    settings: Settings
    workers: Workers
    folder: Path | None
    record: Mapping[str, Any]
    graph: bool = False

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
        self._static = StaticStep(self._gradient, self.workers.device) if self.graph else None
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
        shards = [next(batches) for _ in self.shards]
        seeds = [(self._seed(Stream.AUGMENTATION, shard), self._seed(Stream.NOISE, shard)) for shard in self.shards]
        try:
            found = self._static(shards, seeds) if self._static else self._gradient(*self._here(shards, seeds))
        except FloatingPointError:
            self._blame(shards, seeds)
        *losses, norm = found.tolist()
        if not math.isfinite(sum(losses)):
            self._blame(shards, seeds)
        if not math.isfinite(norm):
            raise FloatingPointError(self._failure(f"{first_nonfinite_gradient(self.model)} is not finite"))
        if settings.clip:
            parameters = [p for p in self.model.parameters() if p.grad is not None]
            nn.utils.clip_grads_with_norm_(parameters, settings.clip, found[-1])
        state.optimiser.step()
        if state.average is not None:
            state.average.update_parameters(self.model)
        state.step += 1
        return sum(losses), norm

    def _gradient(self, shards: Sequence[Batch], sources: Sequence[RandomSources]) -> Tensor:
        """Loss of each shard and norm of the gradient, which is left in the parameters; the host reads nothing."""
        self.state.optimiser.zero_grad()
        losses = []
        for batch, source in zip(shards, sources, strict=True):
            seen = self._augmented(batch, source)
            with nullcontext() if batch is shards[-1] else self.workers.unsynchronised(self.criterion):
                with self._precision():
                    loss = self.criterion(seen, source.noise) / len(shards)
                loss.backward()
            losses.append(loss.detach())
        norm = nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        return torch.stack([*losses, norm.to(losses[0])])

    def _here(self, shards: Sequence[Batch], seeds: Seeds) -> tuple[list[Batch], list[RandomSources]]:
        device = self.workers.device
        return [batch.to(device) for batch in shards], [RandomSources(device).seed(*pair) for pair in seeds]

    def _seed(self, stream: Stream, shard: int) -> int:
        return seed_for(self.settings.seed, stream, self.state.step, shard)

    def _augmented(self, batch: Batch, source: RandomSources) -> Batch:
        return batch._replace(images=augment(batch.images, self.settings.augmentation, source.augmentation))

    def _blame(self, shards: Sequence[Batch], seeds: Seeds) -> NoReturn:
        """Raise with the name of the layer that makes the loss of a shard infinite."""
        layers = []
        for batch, source in zip(*self._here(shards, seeds), strict=True):
            seen = self._augmented(batch, source)

            def compute(seen: Batch = seen, source: RandomSources = source) -> Tensor:
                return self.objective.loss(self.model, seen, source.noise)

            with self._precision():
                layers.append(first_nonfinite_layer(self.model, compute))
        layer = next((layer for layer in layers if layer != LOSS_ITSELF), LOSS_ITSELF)
        raise FloatingPointError(self._failure(f"the loss is not finite, and first so in {layer}"))

    def _precision(self) -> torch.autocast:
        # A parameter is cast once a step anyway, and a cache would hold tensors of another step where a graph is kept.
        device, precision = self.workers.device, self.settings.precision
        lowered = precision == "bfloat16" or (precision == "auto" and not emulates_bfloat16(device))
        return torch.autocast(device.type, torch.bfloat16, enabled=lowered, cache_enabled=False)

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
