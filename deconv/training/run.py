"""A whole run: data, model, training, files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from torch import nn

from ..imaging.files import write_atomically, write_image
from .checkpoint import read_checkpoint
from .data import load_data
from .distributed import Workers, workers
from .families import FAMILIES, draw
from .grid import grid
from .log import check_tensorboard
from .loop import CHECKPOINT, MODEL, Fitted, fit
from .models import build_model
from .order import Stream, generator_for
from .run_config import RunConfig

__all__ = ["train"]

_DRAWN = 64


def train(
    plan: RunConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    changes: dict[str, Any] | None = None,
    device: str = "cpu",
    loaders: int = 0,
    save_seconds: float = 60.0,
    tensorboard: bool = False,
    progress: bool | None = None,
) -> Fitted:
    """Train what `plan` says and leave everything in `folder`.

    ``config.json``: the plan and the model's configuration. ``checkpoint.safetensors``: to go on from.
    ``model.safetensors``: the averaged model that did best in validation. ``log.csv``: the curve. ``samples/``: images
    drawn at each evaluation, always from the same noise.

    Parameters
    ----------
    resume: go on with the run in `folder`, if one was begun there; the plan is then the one it was begun with.
    overwrite: begin anew even where there is one.
    changes: values to replace in the plan, the arguments of `RunConfig.changed`; in one that is resumed, of
        `RunConfig.continued`.
    device: ``"cpu"``, ``"cuda"``, ... Under ``torchrun``, each process takes its own.
    loaders, save_seconds, tensorboard, progress: see `fit`.

    Raises
    ------
    FileExistsError: there is a run in `folder`, and nothing was said about it. And whatever `load_data`, the model
        and `fit` raise.
    """
    folder, changes = Path(folder), changes or {}
    if tensorboard:
        check_tensorboard()
    begun = (folder / CHECKPOINT).exists()
    if begun and not resume and not overwrite:
        raise FileExistsError(f"{folder}: holds a run; --resume goes on with it, --overwrite begins anew")
    resume = begun and resume
    if resume:
        _, record = read_checkpoint(folder / CHECKPOINT)
        plan = RunConfig.from_json(record["plan"]).continued(**changes)
    else:
        plan = plan.changed(**changes)
    data = load_data(plan.data, plan.root, **plan.options)
    model = build_model(plan, data)
    with workers(device) as team:
        if plan.settings.shards == 1 and team.count > 1:
            plan = plan.changed(settings={"shards": team.count})
        model = model.to(team.device)
        record = {"plan": plan.to_json(), "config": model.config}
        if team.first:
            _prepare(folder, record, anew=not resume)
            if progress is not False:
                _introduce(plan, model, data, folder)
        return fit(
            model,
            data,
            FAMILIES[plan.family].objective,
            plan.settings,
            folder=folder,
            resume=resume,
            record=record,
            workers=team,
            loaders=loaders,
            save_seconds=save_seconds,
            tensorboard=tensorboard,
            callback=_drawer(plan, folder, team),
            progress=progress,
        )


def _prepare(folder: Path, record: dict[str, Any], *, anew: bool) -> None:
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    leftovers = list(folder.glob(".*.part"))  # of a run that was killed while it wrote
    if anew:
        leftovers += [*folder.glob("samples/*.png"), *(folder / name for name in (CHECKPOINT, MODEL))]
    for path in leftovers:
        path.unlink(missing_ok=True)
    write_atomically(folder / "config.json", (json.dumps(record, indent=2) + "\n").encode())


def _introduce(plan: RunConfig, model: nn.Module, data: Any, folder: Path) -> None:
    parameters = sum(p.numel() for p in model.parameters())
    shape = " x ".join(map(str, data.shape))
    parts = " / ".join(f"{len(part):,}" for part in (data.train, data.validation, data.test))
    name = plan.model.get("name", plan.family)
    print(f"{name}, {parameters:,} parameters; {plan.data}, {shape}, {parts} images; {folder}", file=sys.stderr)


def _drawer(plan: RunConfig, folder: Path, team: Workers):
    """A callback that draws images after each evaluation."""

    def draw_some(row: dict[str, Any], model: nn.Module) -> None:
        training = model.training
        generator = generator_for(team.device, plan.settings.seed, Stream.SAMPLES)
        images = draw(model.eval(), _DRAWN, generator=generator)
        model.train(training)
        write_image(folder / "samples" / f"{row['step']:07}.png", grid(images.float().cpu()))

    return draw_some if FAMILIES[plan.family].draws else None
