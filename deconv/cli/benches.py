"""``deconv bench``: the benchmarks, each imported only when it is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from typer import Option

from .late_help import Commands, LateHelp
from .options import Device, Json, Photographs, PriorUnderTest
from .values import fraction, whole_numbers

if TYPE_CHECKING:
    from ..bench.blind import Suite
    from ..bench.blind_wide import Half

__all__ = ["benches"]

benches = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None)


@benches.callback(invoke_without_command=True)
def bench(context: typer.Context) -> None:
    """Measure speed and quality.

    \b
    Example:
      deconv bench solver --rows 1,8
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@benches.command(cls=LateHelp)
def solver(
    solver: Annotated[str | None, Option(metavar="NAME", help="One solver; by default the best.")] = None,
    device: Device = "cpu",
    threads: Annotated[str, Option(metavar="N,N", help="Numbers of threads to measure with.")] = "1,2",
    rows: Annotated[str | None, Option(metavar="N,N", help="Rows of the table, from 1; by default all.")] = None,
    seconds: Annotated[float, Option(metavar="S", help="Time spent on each row.")] = 1.5,
    json: Json = None,
    plot: Annotated[Path | None, Option(metavar="FILE", help="Also draw the growth to this file.")] = None,
    memory: Annotated[bool, Option(help="Measure memory.")] = True,
    rivals: Annotated[bool, Option(help="Time what one would use instead.")] = True,
    growth: Annotated[bool, Option(help="Vary image side, kernel size and channels.")] = True,
) -> None:
    """Time the exact inverse of a convolution against the convolution itself.

    Exits with status 1 if a solver failed its check against float64.

    \b
    Examples:
      deconv bench solver --json solver.json --plot growth.png
      deconv bench solver --rows 1,8 --threads 1 --no-growth --no-rivals
    """
    counts = whole_numbers(threads, "--threads")
    chosen = None if rows is None else whole_numbers(rows, "--rows")

    from ..bench.solver import main

    report = main(
        solver=solver,
        device=device,
        threads=counts,
        rows=chosen,
        seconds=seconds,
        json=json,
        plot=plot,
        memory=memory,
        rivals=rivals,
        growth=growth,
    )
    if not report.correct:
        raise typer.Exit(1)


@benches.command(cls=LateHelp)
def flows(
    shape: Annotated[str, Option(metavar="NAME", help="Of the images: mnist, cifar10 or imagenet64.")] = "mnist",
    levels: Annotated[int, Option("--levels", "-L", metavar="L", help="Levels.")] = 2,
    steps: Annotated[int, Option("--steps", "-K", metavar="K", help="Steps of flow per level; the papers' 16.")] = 4,
    kernel_size: Annotated[int, Option(metavar="N", help="Of the layers that have one; odd for all of them.")] = 3,
    width: Annotated[int, Option(metavar="N", help="Hidden channels of the couplings.")] = 32,
    preprocessing: Annotated[str, Option(metavar="NAME", help="centre, logit or gaussianise.")] = "logit",
    logit_alpha: Annotated[float, Option(metavar="NUMBER", help="Of logit: 0.05, or 1e-6 for digits.")] = 0.05,
    layers: Annotated[
        str | None,
        Option(metavar="NAME,NAME", help="Flows, by default all: {deconv.flows.table:names}; and inverse:chain."),
    ] = None,
    matched: Annotated[bool, Option(help="The same number of parameters, not the same width.")] = True,
    batch: Annotated[int, Option(metavar="N", help="Images of a training step.")] = 32,
    device: Device = "cpu",
    threads: Annotated[int, Option(metavar="N", min=1, help="Of the processor.")] = 1,
    seconds: Annotated[float, Option(metavar="S", help="Time spent on each figure of each flow; 0: none.")] = 0.5,
    memory: Annotated[bool, Option(help="Measure memory.")] = True,
    growth: Annotated[bool, Option(help="Vary image side and kernel size.")] = True,
    data: Annotated[str, Option(metavar="NAME", help="Data set for bits per dimension.")] = "patches",
    root: Annotated[Path | None, Option(metavar="DIR", help="Where it is; patches needs none.")] = None,
    train_steps: Annotated[int, Option(metavar="N", help="Training steps of each flow; 0 for none.")] = 100,
    train_seconds: Annotated[float | None, Option(metavar="S", help="Training time of each flow instead.")] = None,
    seeds: Annotated[int, Option(metavar="N", min=1, help="How often each flow is trained.")] = 1,
    out: Annotated[Path | None, Option(metavar="FILE", help="Also write all figures to this CSV file.")] = None,
) -> None:
    """Compare Inverse-Flow with other flows: speed, memory, growth, and bits per dimension after equal training.

    \b
    Examples:
      deconv bench flows --out flows.csv
      deconv bench flows -K 16 --layers inverse,finc,glow --train-steps 0
      deconv bench flows --data mnist --root mnist.npz --seeds 3
    """
    from ..bench.flows import main

    main(
        shape=shape,
        levels=levels,
        steps=steps,
        kernel_size=kernel_size,
        width=width,
        preprocessing=preprocessing,
        logit_alpha=logit_alpha,
        layers=None if layers is None else layers.split(","),
        matched=matched,
        batch=batch,
        device=device,
        threads=threads,
        seconds=seconds,
        memory=memory,
        **({} if growth else {"sides": (), "kernel_sizes": ()}),
        data=data,
        root=root,
        train_steps=train_steps,
        train_seconds=train_seconds,
        seeds=seeds,
        out=out,
    )


@benches.command(cls=LateHelp)
def blind(
    suite: Annotated[
        str,
        Option(metavar="NAME", help="default; wide: the photographs in --root under three kinds of shake; or harsh."),
    ] = "default",
    half: Annotated[str, Option(metavar="NAME", help="Of the wide or harsh suite: tune, report or both.")] = "both",
    seed: Annotated[int, Option(metavar="N", help="Of the wide or harsh suite: which 64 cases.")] = 0,
    root: Annotated[
        Path | None, Option(metavar="DIR", help="Folder with blurred/, kernels/, sharp/; by default a built-in suite.")
    ] = None,
    psfs: Annotated[
        Path | None, Option(metavar="DIR", help="Folder of folders, one a method, with its psfs as CASE.png.")
    ] = None,
    noise: Annotated[
        str | None, Option(metavar="NUMBER", help="White noise to add; 0.5% in the built-in suite.")
    ] = None,
    starts: Annotated[int, Option(metavar="N", help="Starts of each estimation.")] = 16,
    kernel_size: Annotated[
        int | None, Option(metavar="N", help="Window; by default a little more than the psf.")
    ] = None,
    only: Annotated[str, Option(metavar="TEXT", help="Only cases with this text in their name.")] = "",
    calibrate: Annotated[
        bool, Option("--calibrate", help="Also fit the weights of the confidence to these cases, and print them.")
    ] = False,
    json: Json = None,
) -> None:
    """Estimate psfs that are known, and compare what they restore.

    \b
    Examples:
      deconv bench blind --noise 1%
      deconv bench blind --root levin --psfs levin/rivals
      deconv bench blind --suite wide --root photographs --half report
    """
    added = None if noise is None else fraction(noise, "--noise")

    from ..bench.blind import main

    main(
        suite=cast("Suite", suite),
        half=cast("Half", half),
        seed=seed,
        root=root,
        psfs=psfs,
        noise=added,
        starts=starts,
        kernel_size=kernel_size,
        only=only,
        calibrate=calibrate,
        json=json,
    )


@benches.command(cls=LateHelp)
def fields(
    methods: Annotated[str | None, Option(metavar="LIST", help="Which methods; by default four.")] = None,
    grid: Annotated[int, Option(metavar="N", min=1, help="Psfs that are known along each axis.")] = 4,
    json: Json = None,
) -> None:
    """Compare one solve for a psf that varies over the field with tiles and with one psf.

    \b
    Example:
      deconv bench fields --methods wiener,richardson_lucy --grid 8
    """
    from ..bench.psf_fields import main

    main(methods=None if methods is None else methods.split(","), grid=grid, json=json)


@benches.command(cls=LateHelp)
def restore(
    root: Annotated[
        Path | None, Option(metavar="DIR", help="Folder with levin/kernels and set12; by default bundled pictures.")
    ] = None,
    methods: Annotated[
        str | None, Option(metavar="NAME,NAME", help="Restoration methods; by default all but the slow ones.")
    ] = None,
    against: Annotated[str, Option(metavar="NAME", help="Other libraries beside: skimage,deepinv.")] = "",
    noise: Annotated[str, Option(metavar="NUMBER,NUMBER", help="Noise levels.")] = "0.5%,1%,3%",
    volumes: Annotated[
        bool, Option("--volumes", help="Richardson-Lucy on simulated stacks, beside other programs.")
    ] = False,
    quick: Annotated[bool, Option("--quick", help="Small stacks of --volumes: whether it runs, not how well.")] = False,
    json: Json = None,
) -> None:
    """Compare what the restoration methods make of known blurs.

    \b
    Examples:
      deconv bench restore --against skimage,deepinv
      deconv bench restore --methods wiener,total_variation --noise 1%
      deconv bench restore --volumes
    """
    if volumes:
        if root is not None or methods is not None or against:
            raise ValueError("--volumes: it has stacks and methods of its own; leave --root, --methods, --against out")
        from ..bench.volumes import main as measure

        measure(quick=quick, json=json)
        return
    if quick:
        raise ValueError("--quick: it is for --volumes")
    noises = [fraction(part, "--noise") for part in noise.split(",")]

    from ..bench.restore import main

    chosen = None if methods is None else methods.split(",")
    main(root=root, methods=chosen, against=[name for name in against.split(",") if name], noise=noises, json=json)


@benches.command(cls=LateHelp)
def prior(
    root: Photographs,
    prior: PriorUnderTest = "flow",
    crops: Annotated[int, Option(metavar="N", help="Crops of 128 x 128 to measure on.")] = 96,
    json: Json = None,
) -> None:
    """Compare a prior's density of photographs with that of Gaussians.

    \b
    Example:
      deconv bench prior --root photographs
    """
    from ..bench.prior import main

    main(root=root, prior=prior, crops=crops, json=json)


@benches.command(cls=LateHelp)
def posterior(
    root: Photographs,
    prior: PriorUnderTest = "flow",
    cases: Annotated[int, Option(metavar="N", help="Crops of 64 x 64, each under another shake.")] = 24,
    samples: Annotated[int, Option(metavar="N", help="Draws for each.")] = 16,
    training: Annotated[bool, Option("--training", help="On those for training, to choose a spread by.")] = False,
    metropolis: Annotated[int, Option(metavar="N", help="Trajectories that Metropolis's rule judges.", min=0)] = 0,
    json: Json = None,
) -> None:
    """Compare draws from the posterior with the truth: are deviations as large as errors?

    \b
    Example:
      deconv bench posterior --root photographs
    """
    from ..bench.posterior import main

    how = {"training": training, "metropolis": metropolis}
    main(root=root, prior=prior, cases=cases, samples=samples, json=json, **how)
