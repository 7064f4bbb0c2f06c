"""A whole run: data, model, training, files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from torch import nn

from ..devices import emulates_bfloat16
from ..imaging.files import write_atomically, write_image
from .checkpoint import CHECKPOINT, MODEL, read_checkpoint
from .data import OWN, OwnDataset, Splits, load_data
from .distributed import Workers, workers
from .families import FAMILIES, draw, model_config
from .grid import grid
from .lock import folder_lock
from .log import Row, check_tensorboard
from .loop import Fitted, fit
from .models import build_model
from .order import Stream, generator_for
from .run_config import RunConfig

__all__ = ["train"]

_DRAWN = 64


def train(
    config: RunConfig,
    folder: str | os.PathLike,
    *,
    data: Splits | OwnDataset | None = None,
    resume: bool = False,
    overwrite: bool = False,
    changes: Mapping[str, Any] | None = None,
    device: str = "cpu",
    loaders: int = 0,
    save_seconds: float = 60.0,
    tensorboard: bool = False,
    graph: bool | None = None,
    progress: bool | None = None,
) -> Fitted:
    """Train what `config` says and leave everything in `folder`.

    ``config.json``: what the run does and what builds the model. ``checkpoint.safetensors``: to go on from.
    ``model.safetensors``: the averaged model that did best in validation. ``log.csv``: the curve. ``samples/``: images
    drawn at each evaluation, always from the same noise.

    Parameters
    ----------
    config : RunConfig
        What the run does.
    folder : path-like
        Where everything goes.
    data : Splits or Dataset, optional
        Images of one's own, see `load_data`; by default those that `config` names. They have to be given again to
        resume the run.
    resume : bool
        Go on with the run in `folder`, if one was begun there; its configuration is then the one it was begun with.
    overwrite : bool
        Begin anew even where there is one.
    changes : mapping, optional
        Values to replace in the configuration, the arguments of `RunConfig.changed`; in one that is resumed, of
        `RunConfig.continued`.
    device : str
        ``"cpu"``, ``"cuda"``, ... Under ``torchrun``, each process takes its own.
    loaders : int
        Processes that read images ahead; 0 for images in memory.
    save_seconds : float
        The least time between two checkpoints.
    tensorboard : bool
        Also log for TensorBoard.
    graph : bool, optional
        See `fit`.
    progress : bool, optional
        By default on standard error; False: be silent.

    Returns
    -------
    Fitted
        The model and its curve.

    Raises
    ------
    FileExistsError
        There is a run in `folder`, and nothing was said about it; or another one is writing to it.
    ValueError, FileNotFoundError, FloatingPointError
        Whatever `load_data`, the model and `fit` raise.

    Examples
    --------
    Images of one's own, here white noise, in place of those of a recipe:

    >>> import tempfile
    >>> import torch
    >>> from deconv.training import RECIPES, load_model, split_dataset
    >>> images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    >>> changes = {"model": {"steps": 1, "width": 4}, "settings": {"steps": 2, "batch_size": 8}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fitted = train(RECIPES["patches"], folder, data=split_dataset(images), changes=changes, progress=False)
    ...     model = load_model(folder).model
    >>> model.sample(3).shape
    torch.Size([3, 1, 8, 8])
    """
    folder, changes = Path(folder), changes or {}
    if tensorboard:
        check_tensorboard()
    if data is not None:
        changes = {**changes, "data": OWN}
    begun = (folder / CHECKPOINT).exists()
    if begun and not resume and not overwrite:
        raise FileExistsError(f"{folder}: holds a run; --resume goes on with it, --overwrite begins anew")
    resume = begun and resume
    if resume:
        _, record = read_checkpoint(folder / CHECKPOINT)
        config = RunConfig.from_json(record["run"]).continued(**changes)
    else:
        config = config.changed(**changes)
    splits = load_data(config.data, config.root, **config.options) if data is None else load_data(data)
    model = FAMILIES[config.family].build(**record["model"]) if resume else build_model(config, splits)
    with workers(device) as processes, _folder(folder, processes):
        if config.settings.shards == 1 and processes.count > 1:
            config = config.changed(settings={"shards": processes.count})
        model = model.to(processes.device)
        record = {"run": config.to_json(), "model": model_config(model)}
        if processes.first:
            if not resume and not overwrite and (folder / CHECKPOINT).exists():
                raise FileExistsError(f"{folder}: another training run was quicker")
            _prepare(folder, record, anew=not resume)
            if progress is not False:
                print(_summary(config, model, splits, folder), file=sys.stderr)
                if config.settings.precision == "bfloat16" and emulates_bfloat16(processes.device):
                    print("this processor emulates bfloat16: --precision float32 is faster on it", file=sys.stderr)
        return fit(
            model,
            splits,
            FAMILIES[config.family].objective,
            config.settings,
            folder=folder,
            resume=resume,
            record=record,
            workers=processes,
            loaders=loaders,
            save_seconds=save_seconds,
            tensorboard=tensorboard,
            graph=graph,
            callback=_drawing(config, folder, processes),
            progress=progress,
        )


@contextmanager
def _folder(folder: Path, processes: Workers) -> Iterator[None]:
    """The folder of a run, there and locked by the first of its processes."""
    if processes.first:
        (folder / "samples").mkdir(parents=True, exist_ok=True)
    with folder_lock(folder) if processes.first else nullcontext():
        yield


def _prepare(folder: Path, record: dict[str, Any], *, anew: bool) -> None:
    """Remove what a killed run or the one before has left in the folder, and say there what the new one does."""
    leftovers = list(folder.rglob(".*.part"))  # of a run that was killed while it wrote
    if anew:
        leftovers += [*folder.glob("samples/*.png"), *(folder / name for name in (CHECKPOINT, MODEL))]
    for path in leftovers:
        path.unlink(missing_ok=True)
    write_atomically(folder / "config.json", (json.dumps(record, indent=2) + "\n").encode())


def _summary(config: RunConfig, model: nn.Module, data: Splits, folder: Path) -> str:
    parameters = sum(p.numel() for p in model.parameters())
    shape = " x ".join(map(str, data.shape))
    parts = " / ".join(f"{len(part):,}" for part in (data.train, data.validation, data.test))
    name = config.model.get("name", config.family)
    return f"{name}, {parameters:,} parameters; {config.data}, {shape}, {parts} images; {folder}"


def _drawing(config: RunConfig, folder: Path, processes: Workers) -> Callable[[Row, nn.Module], None] | None:
    """A callback that draws images after each evaluation."""

    def draw_some(row: Row, model: nn.Module) -> None:
        training = model.training
        generator = generator_for(processes.device, config.settings.seed, Stream.SAMPLES)
        images = draw(model.eval(), _DRAWN, generator=generator)
        model.train(training)
        write_image(folder / "samples" / f"{row['step']:07}.png", grid(images.float().cpu()))

    return draw_some if FAMILIES[config.family].draws else None
