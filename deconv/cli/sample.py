"""``deconv sample``: draw images from a trained flow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from .options import Checkpoint, ClosingQuiet, Device

__all__ = ["sample"]


def sample(
    checkpoint: Checkpoint,
    output: Annotated[Path, Option("--output", "-o", metavar="OUT", help="The picture of them all.")],
    count: Annotated[int, Option("--count", "-n", metavar="N", help="Images to draw.")] = 64,
    temperature: Annotated[float, Option(metavar="T", help="Of the noise; below 1: likelier images.")] = 1.0,
    label: Annotated[int | None, Option(metavar="N", help="Of a conditional flow: one label.")] = None,
    columns: Annotated[int | None, Option(metavar="N", help="Images in a row.")] = None,
    seed: Annotated[int, Option(metavar="N", help="Of the noise.")] = 0,
    device: Device = "cpu",
    quiet: ClosingQuiet = False,
) -> None:
    """Draw images from a trained flow.

    \b
    Example:
      deconv sample runs/mnist -n 64 -o grid.png --temperature 0.8
    """
    import time

    from ..devices import usable_device
    from ..imaging.files import check_writable, write_image
    from ..training.families import draw
    from ..training.grid import grid
    from ..training.models import load_model
    from ..training.order import Stream, generator_for

    for flag, value in (("--count", count), ("--columns", columns)):
        if value is not None and value < 1:
            raise ValueError(f"{flag}: expected at least 1, given {value}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"--temperature: expected a finite number of at least 0, given {temperature}")
    check_writable(output)
    place = usable_device(device, name="--device")
    trained = load_model(checkpoint, device=place)
    if not trained.family.draws:
        raise ValueError(f"{checkpoint}: a model of the family {trained.config.family} draws no images")
    started = time.perf_counter()
    generator = generator_for(place, seed, Stream.SAMPLES)
    images = draw(trained.model, count, temperature=temperature, label=label, generator=generator)
    seconds = time.perf_counter() - started
    write_image(output, grid(images.float().cpu(), columns=columns))
    if not quiet:
        typer.echo(f"{checkpoint} -> {output}: {count} images, temperature {temperature:g}; {seconds:.2f} s")
