"""``deconv train``: train a flow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Grey, Quiet, Side
from .sections import data_option, flow_option, machine_option, run_option, training_option

__all__ = ["train"]

_RECIPE = """Settings: patches, mnist, mnist-paper, prior or network.

patches takes a few minutes and downloads nothing; mnist-paper is as in the papers' tables; prior and network take a
folder of photographs, --root."""
_MODEL = """Its layer: {deconv.flows.table:names}.

{deconv.flows.table:listing}."""
_DATA = "patches (bundled, or of --root), crops, mnist, cifar10, imagenet32, imagenet64, celeba or folder."
_OUTPUT = "The folder of the run; by default runs/ and the recipe's name."
_TIME = """Stop after so long.

Without --steps, however many steps that takes."""
_PRECISION = """float32, bfloat16 or auto.

bfloat16 is for the networks inside the layers; auto takes it where it is fast."""
_GRAPH = "Replay each step from a CUDA graph; by default on a GPU."

_ENDLESS = 10**9


def train(
    recipe: Annotated[str, run_option(metavar="NAME", help=_RECIPE)] = "patches",
    output: Annotated[Path | None, run_option("--output", "-o", metavar="FOLDER", help=_OUTPUT)] = None,
    resume: Annotated[bool, run_option("--resume", help="Go on with the run in the folder, if there is one.")] = False,
    overwrite: Annotated[bool, run_option("--overwrite", help="Begin anew even if the folder holds a run.")] = False,
    data: Annotated[str | None, data_option(metavar="NAME", help=_DATA)] = None,
    root: Annotated[Path | None, data_option(metavar="PATH", help="The data set's file or folder.")] = None,
    size: Side = None,
    grey: Grey = None,
    conditional: Annotated[bool | None, data_option("--conditional", help="Condition on the labels.")] = None,
    model: Annotated[str | None, flow_option(metavar="NAME", help=_MODEL)] = None,
    levels: Annotated[int | None, flow_option(metavar="L", help="Levels of the flow.")] = None,
    depth: Annotated[int | None, flow_option(metavar="K", help="Steps of the flow in each level.")] = None,
    kernel_size: Annotated[int | None, flow_option(metavar="N", help="Of its convolutions.")] = None,
    width: Annotated[int | None, flow_option(metavar="N", help="Hidden channels of its couplings.")] = None,
    coupling: Annotated[str | None, flow_option(metavar="NAME", help="affine or spline.")] = None,
    preprocessing: Annotated[str | None, data_option(metavar="NAME", help="logit, centre or gaussianise.")] = None,
    dequantisation: Annotated[str | None, data_option(metavar="NAME", help="uniform or variational.")] = None,
    steps: Annotated[int | None, training_option(metavar="N", help="Updates of the parameters.")] = None,
    time_limit: Annotated[float | None, training_option(metavar="SECONDS", help=_TIME)] = None,
    batch_size: Annotated[
        int | None, training_option(metavar="N", help="Images of an update, over all processes.")
    ] = None,
    shards: Annotated[int | None, machine_option(metavar="N", help="Parts a batch is computed in.")] = None,
    learning_rate: Annotated[float | None, training_option(metavar="NUMBER", help="Of Adam, at its largest.")] = None,
    warmup: Annotated[int | None, training_option(metavar="N", help="Steps over which it rises.")] = None,
    decay: Annotated[str | None, training_option(metavar="NAME", help="How it falls: cosine, linear or none.")] = None,
    clip: Annotated[
        float | None, training_option(metavar="NUMBER", help="Largest norm of the gradient; 0: any.")
    ] = None,
    average: Annotated[
        float | None, training_option(metavar="NUMBER", help="Decay of the averaged parameters.")
    ] = None,
    augmentation: Annotated[str | None, data_option(metavar="NAME", help="none, flip or dihedral.")] = None,
    precision: Annotated[str | None, training_option(metavar="NAME", help=_PRECISION)] = None,
    validate_every: Annotated[int | None, training_option(metavar="N", help="Steps between evaluations.")] = None,
    validation_images: Annotated[
        int | None, training_option(metavar="N", help="Images of an evaluation; 0: all.")
    ] = None,
    seed: Annotated[int | None, run_option(metavar="N", help="Of everything random.")] = None,
    device: Device = "cpu",
    loaders: Annotated[int, data_option(metavar="N", help="Processes that read image files ahead.")] = 0,
    tensorboard: Annotated[bool, run_option("--tensorboard", help="Also log for TensorBoard.")] = False,
    graph: Annotated[bool | None, machine_option("--graph/--no-graph", help=_GRAPH)] = None,
    quiet: Quiet = False,
) -> None:
    """Train a normalizing flow.

    The folder gets model.safetensors (the best so far, averaged), checkpoint.safetensors (to --resume from, whatever
    ended the run), config.json, log.csv and samples. Run it by torchrun to use several processes or devices:
    torchrun --nproc-per-node 2 -m deconv train ...

    \b
    Examples:
      deconv train
      deconv train --recipe mnist --root mnist.npz -o runs/mnist
      deconv train --model glow --data folder --root photographs --size 64
    """
    from ..choices import check_choice
    from ..training import families, recipes
    from ..training.run import train as run

    check_choice("--recipe", recipe, recipes.RECIPES)
    folder = output or Path("runs") / recipe
    if time_limit is not None and steps is None:
        steps = _ENDLESS
    changes = {
        "data": data,
        "root": None if root is None else str(root),
        "conditional": conditional,
        "options": {"size": size, "grey": grey},
        "model": {
            "name": model,
            "levels": levels,
            "steps": depth,
            "kernel_size": kernel_size,
            "width": width,
            "coupling": coupling,
            "preprocessing": preprocessing,
            "dequantisation": dequantisation,
        },
        "settings": {
            "steps": steps,
            "time_limit": time_limit,
            "batch_size": batch_size,
            "shards": shards,
            "learning_rate": learning_rate,
            "warmup": warmup,
            "decay": decay,
            "clip": clip,
            "average": average,
            "augmentation": augmentation,
            "precision": precision,
            "validate_every": validate_every,
            "validation_images": validation_images,
            "seed": seed,
        },
    }
    fitted = run(
        recipes.RECIPES[recipe],
        folder,
        resume=resume,
        overwrite=overwrite,
        changes=changes,
        device=device,
        loaders=loaders,
        tensorboard=tensorboard,
        graph=graph,
        progress=False if quiet else None,
    )
    if not quiet and os.environ.get("RANK", "0") == "0":
        draws = families.FAMILIES[recipes.RECIPES[recipe].family].draws
        hint = f"; deconv sample {folder} -o grid.png" if draws else ""
        typer.echo(f"{folder}: {fitted.steps} steps, {fitted.seconds:.0f} s{hint}")
