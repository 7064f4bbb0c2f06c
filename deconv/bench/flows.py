"""``deconv bench flows``: the flows in one backbone, side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from ..choices import check_choice
from ..flows import FLOWS
from ..flows.build import PreprocessingName
from ..training import Settings, Splits, load_data
from .flows_models import SHAPES, Backbone, Contestant, contestants
from .flows_quality import Curve, learn
from .flows_report import Growth, Report, curves_table, growth_table, speed_table
from .flows_speed import growth, measure_speed
from .output import check_writable, console_of_width
from .results import machine

__all__ = ["main"]

# The flows whose growth is compared, as in the papers, and how far.
_GROWING = ("inverse", "finc")
_SIDES = (16, 32, 64, 128, 256)
_KERNEL_SIZES = (2, 3, 5, 7, 9, 11)


def main(
    *,
    shape: str = "mnist",
    levels: int = 2,
    steps: int = 4,
    kernel_size: int = 3,
    width: int = 32,
    preprocessing: PreprocessingName = "logit",
    logit_alpha: float = 0.05,
    layers: Sequence[str] | None = None,
    matched: bool = True,
    batch: int = 32,
    device: str = "cpu",
    threads: int = 1,
    seconds: float = 0.5,
    memory: bool = True,
    sides: Sequence[int] = _SIDES,
    kernel_sizes: Sequence[int] = _KERNEL_SIZES,
    data: str = "patches",
    root: Path | None = None,
    train_steps: int = 100,
    train_seconds: float | None = None,
    seeds: int = 1,
    out: Path | None = None,
    console: Console | None = None,
) -> Report:
    """Measure, print tables, and write what `out` asks for.

    Parameters
    ----------
    shape : str
        A key of `SHAPES`.
    levels, steps : int
        L and K of the backbone; the papers' tables have L = 2 and K = 16.
    kernel_size : int
        Of the layers that have one.
    width : int
        Hidden channels of the couplings in ``"inverse"``.
    preprocessing : {"centre", "logit", "gaussianise"}
        See `deconv.flows.build_flow`.
    logit_alpha : float
        See `deconv.flows.build_flow`.
    layers : sequence of str, optional
        Names out of `deconv.flows.FLOWS`, or ``"inverse:chain"``, Inverse-Flow with ``corners="chain"``; by default
        all of the table.
    matched : bool
        The others' widths make as many parameters; False: the same width for all.
    batch : int
        Images of a training step.
    device : str
        Where to compute.
    threads : int
        Of the processor.
    seconds : float
        Spent on one time of one flow; 0 leaves the times out.
    memory : bool
        Whether to measure memory.
    sides, kernel_sizes : sequence of int
        Of the series; an empty one is left out.
    data : str
        Data set for bits per dimension, see `deconv.training.load_data`.
    root : Path, optional
        Where it is.
    train_steps : int
        For all flows alike; 0 leaves the training out.
    train_seconds : float, optional
        Stop each flow after so long instead.
    seeds : int
        How often each flow is trained, from other parameters and with other batches each time.
    out : Path, optional
        File for all figures, as comma-separated values.
    console : Console, optional
        Where the tables go.

    Returns
    -------
    Report
        Everything measured.

    Raises
    ------
    ValueError
        An unknown layer or shape, no seed, or a file that could not be written at the end.
    """
    if seeds < 1:
        raise ValueError(f"seeds: must be at least 1, given {seeds}")
    console = console or console_of_width(170)
    check_choice("shape", shape, SHAPES)
    check_writable("out", out)
    names = list(FLOWS) if layers is None else list(layers)
    backbone = Backbone(SHAPES[shape], levels, steps, kernel_size, width, preprocessing, logit_alpha)
    splits = load_data(data, root) if train_steps else None
    report = Report(backbone, device, batch)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        console.print(f"{machine()['processor']}, threads: {threads}, torch {torch.__version__}, {device}")
        with console.status("building"):
            flows = contestants(backbone, names, matched=matched, device=device)
        if seconds:
            with console.status("speed"):
                report.speeds = measure_speed(
                    flows, backbone, batch=batch, device=device, seconds=seconds, memory=memory
                )
            console.print(speed_table(report))
        growing = [name for name in _GROWING if name in names and seconds]
        for variable, values in (("image side", sides), ("kernel size", kernel_sizes)):
            if growing and values:
                with console.status(variable):
                    report.growth += _series(variable, values, backbone, growing, device, seconds)
                console.print(growth_table([point for point in report.growth if point.variable == variable]))
        if splits is not None:
            settings = Settings(
                steps=train_steps if train_seconds is None else 10**9,
                time_limit=train_seconds,
                batch_size=batch,
                learning_rate=2e-3,
                warmup=20,
                average=0.0,
                validate_every=max(1, train_steps // 5),
                validation_images=500,
            )
            runs = [replace(settings, seed=seed) for seed in range(seeds)]
            report.curves = _train(flows, replace(backbone, shape=splits.shape), splits, runs, device, console)
            console.print(curves_table(report.curves))
    finally:
        torch.set_num_threads(before)
    if out is not None:
        report.write(out)
        console.print(f"wrote {out}")
    return report


def _series(
    variable: str, values: Sequence[int], backbone: Backbone, names: Sequence[str], device: str, seconds: float
) -> list[Growth]:
    if variable == "image side":
        channels = backbone.shape[0]
        backbones = {side: replace(backbone, shape=(channels, side, side)) for side in values}
        batch = 10
    else:
        backbones = {size: replace(backbone, kernel_size=size) for size in values}
        batch = 100
    points = growth(backbones, names, batch=batch, device=device, seconds=seconds)
    return [Growth(variable, *point) for point in points]


def _train(
    flows: Sequence[Contestant],
    backbone: Backbone,
    data: Splits,
    runs: Sequence[Settings],
    device: str,
    console: Console,
) -> list[Curve]:
    """By turns, so that a machine that gets busier slows all of them."""
    curves = []
    for settings, flow in itertools.product(runs, flows):
        what = f"{flow.name}, seed {settings.seed}"
        with console.status(f"training {what}") as status:

            def show(row: dict, what: str = what, status=status) -> None:
                status.update(f"training {what}, step {row['step']}, {row['validation']:.3f} bits/dim")

            curves.append(learn(flow, backbone, data, settings, device=device, progress=show))
        console.print(f"{what}: {curves[-1].bits:.3f} bits/dim after {curves[-1].points[-1][1]:.0f} s")
    return curves
