"""``deconv export``: a trained flow's sampler for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

__all__ = ["export"]


def export(
    checkpoint: Annotated[Path, Argument(metavar="CKPT", help="A run's folder, or one of its files.")],
    output: Annotated[Path, Option("--output", "-o", metavar="OUT", help="The sampler: .pt2 or .onnx.")],
    quiet: Annotated[bool, Option("--quiet", "-q", help="No closing line.")] = False,
) -> None:
    """Write a trained flow's sampler to a file that runs without this toolkit.

    It takes standard normal noise, one row per image, and gives images in [0, 1]. .pt2 is read by torch.export.load,
    .onnx by any ONNX runtime.

    \b
    Example:
      deconv export runs/mnist -o sampler.pt2
    """
    from ..training.export import export_sampler
    from ..training.models import load_model

    trained = load_model(checkpoint)
    if not trained.family.draws:
        raise ValueError(f"{checkpoint}: a model of the family {trained.plan.family} draws no images")
    export_sampler(trained.model, output)
    if not quiet:
        shape = " x ".join(map(str, trained.model.config["image_shape"]))
        typer.echo(f"{checkpoint} -> {output}: sampler of {shape} images, {output.stat().st_size:,} bytes")
