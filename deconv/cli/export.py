"""``deconv export``: what training made, for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from .options import Checkpoint, ClosingQuiet

__all__ = ["export"]

_OUTPUT = "A sampler: .pt2 or .onnx; a prior or a network: .safetensors."


def export(
    checkpoint: Checkpoint,
    output: Annotated[Path, Option("--output", "-o", metavar="OUT", help=_OUTPUT)],
    quiet: ClosingQuiet = False,
) -> None:
    """Write a trained flow's sampler to a file that runs without this toolkit; a prior or a network to one for it.

    A sampler takes standard normal noise, one row per image, and gives images in [0, 1]. .pt2 is read by
    torch.export.load, .onnx by any ONNX runtime. A prior is what restoration with prior=FILE takes, a network
    what deconv.restore.network(model=FILE) does.

    \b
    Examples:
      deconv export runs/mnist -o sampler.pt2
      deconv export runs/prior -o mine.safetensors
    """
    from ..training.models import load_model

    trained = load_model(checkpoint)
    if trained.family.save is None:
        from ..training.export import export_sampler
        from ..training.families import model_config

        export_sampler(trained.model, output)
        what = f"sampler of {' x '.join(map(str, model_config(trained.model)['image_shape']))} images"
    else:
        what = trained.config.family
        if output.suffix.lower() != ".safetensors":
            raise ValueError(f"{output}: a {what} is written to a file .safetensors")
        record = {"run": trained.config.to_json(), "steps": trained.steps}
        trained.family.save(trained.model, output, record=record)
    if not quiet:
        typer.echo(f"{checkpoint} -> {output}: {what}, {output.stat().st_size:,} bytes")
