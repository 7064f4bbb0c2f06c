"""``deconv evaluate``: how likely a trained flow finds images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from .options import Checkpoint, Device, Grey, Side

__all__ = ["evaluate"]


def evaluate(
    checkpoint: Checkpoint,
    data: Annotated[str | None, Option(metavar="NAME", help="Data set; by default the run's own.")] = None,
    root: Annotated[Path | None, Option(metavar="PATH", help="Its file or folder; by default the run's.")] = None,
    split: Annotated[str, Option(metavar="NAME", help="train, validation or test.")] = "test",
    size: Side = None,
    grey: Grey = None,
    limit: Annotated[int, Option(metavar="N", help="The first N images only; 0: all.")] = 0,
    seed: Annotated[int, Option(metavar="N", help="Of the dequantisation noise.")] = 0,
    device: Device = "cpu",
) -> None:
    """Print the mean bits per dimension of images, and its standard error.

    \b
    Example:
      deconv evaluate runs/mnist --data mnist --root mnist.npz
    """
    from ..devices import usable_device
    from ..training.data import load_data
    from ..training.evaluation import evaluate as score_of
    from ..training.families import model_config
    from ..training.models import load_model

    if limit < 0:
        raise ValueError(f"--limit: expected at least 0, given {limit}")
    trained = load_model(checkpoint, device=usable_device(device, name="--device"))
    where = None if root is None else str(root)
    config = trained.config.changed(data=data, root=where, options={"size": size, "grey": grey})
    splits = load_data(config.data, config.root, **config.options)
    expected = tuple(model_config(trained.model)["image_shape"])
    if splits.shape != expected:
        raise ValueError(f"--data: its images are {splits.shape}, the model's {expected}")
    classes, labels = model_config(trained.model).get("num_classes"), splits.num_classes
    if classes and labels is None:
        raise ValueError(f"--data: {config.data} has no labels, and the model needs some")
    if classes and labels is not None and labels > classes:
        raise ValueError(f"--data: its labels are 0 to {labels - 1}, the model's 0 to {classes - 1}")
    score = score_of(trained.model, splits[split], trained.family.objective, limit=limit, seed=seed)
    figure = trained.family.objective.name
    typer.echo(
        f"{config.data} {split}: {score.text} {figure}, {score.count:,} images; "
        f"{checkpoint} after {trained.steps} steps"
    )
