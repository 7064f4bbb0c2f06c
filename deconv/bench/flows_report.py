"""The tables of the flow benchmark, on the screen and as a file of comma-separated values."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, stdev

from rich.table import Table

from .flows_models import Backbone
from .flows_quality import Curve
from .flows_speed import Speed

__all__ = ["Growth", "Report", "curves_table", "growth_table", "speed_table"]

_REFERENCE = "inverse"


@dataclass(frozen=True)
class Growth:
    """Seconds for sampling, and for a training step, with one property of the backbone at `value`."""

    variable: str
    value: int
    name: str
    sample: float
    step: float


@dataclass
class Report:
    """Everything measured.

    Attributes
    ----------
    batch : int
        Images of a training step.
    """

    backbone: Backbone
    device: str
    batch: int
    speeds: list[Speed] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    def rows(self) -> Iterator[tuple[str, str, str, float | None]]:
        """``(table, flow, quantity, value)``; times in seconds, memory in bytes."""
        for speed in self.speeds:
            for quantity, value in asdict(speed).items():
                if quantity != "name":
                    yield "speed", speed.name, quantity, value
        for point in self.growth:
            for quantity in ("sample", "step"):
                yield point.variable, point.name, f"{quantity} at {point.value}", getattr(point, quantity)
        for curve in self.curves:
            table = f"bits/dim, seed {curve.seed}"
            for step, seconds, bits in curve.points:
                yield table, curve.name, f"validation at step {step}", bits
                yield table, curve.name, f"seconds at step {step}", seconds
            yield table, curve.name, "test", curve.bits
            yield table, curve.name, "standard error", curve.error

    def write(self, path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("table", "flow", "quantity", "value"))
            writer.writerows(self.rows())


def speed_table(report: Report) -> Table:
    """Milliseconds; ratios to ``inverse`` above 1 are slower than it. A flow that is not exact says so."""
    b = report.backbone
    images = " x ".join(map(str, b.shape))
    table = Table(
        title=f"{images}, L = {b.levels}, K = {b.steps}, kernel {b.kernel_size}, on {report.device}; "
        f"milliseconds, {report.batch} images in a training step",
        title_justify="left",
    )
    table.add_column("flow")
    for title in (
        "width", "parameters", "sample\n1", "sample\n100", "ratio", "linear part\n100", "ratio", "density\n100",
        "training\nstep", "ratio", "memory\nMB", "round trip\nerror",
    ):  # fmt: skip
        table.add_column(title, justify="right")
    reference = next((speed for speed in report.speeds if speed.name == _REFERENCE), None)

    def ratio(speed: Speed, quantity: str) -> str:
        return f"{getattr(speed, quantity) / getattr(reference, quantity):.2f}" if reference else "–"

    for speed in report.speeds:
        table.add_row(
            speed.name,
            str(speed.width),
            str(speed.parameters),
            *(f"{1e3 * time:.1f}" for time in (speed.sample_1, speed.sample_100)),
            ratio(speed, "sample_100"),
            f"{1e3 * speed.linear_100:.1f}",
            ratio(speed, "linear_100"),
            *(f"{1e3 * time:.1f}" for time in (speed.forward_100, speed.step)),
            ratio(speed, "step"),
            "–" if speed.memory is None else f"{speed.memory / 1e6:.0f}",
            f"{speed.error:.0e}" if speed.exact else f"{speed.error:.0e}, approximate",
        )
    return table


def growth_table(points: Sequence[Growth]) -> Table:
    """One series: sampling and training-step time, in milliseconds and relative to the first value."""
    variable, names = points[0].variable, list(dict.fromkeys(point.name for point in points))
    table = Table(title=f"Growth with the {variable}; milliseconds, and relative to the first", title_justify="left")
    table.add_column(variable, justify="right")
    for name in names:
        table.add_column(f"{name}\nsampling", justify="right")
        table.add_column(f"{name}\ntraining step", justify="right")
    first = {point.name: point for point in reversed(points)}
    for value in dict.fromkeys(point.value for point in points):
        cells = []
        for point in points:
            if point.value == value:
                start = first[point.name]
                cells += [f"{1e3 * point.sample:.1f} ({point.sample / start.sample:.2f})"]
                cells += [f"{1e3 * point.step:.1f} ({point.step / start.step:.2f})"]
        table.add_row(str(value), *cells)
    return table


def curves_table(curves: Sequence[Curve]) -> Table:
    """Bits per dimension on held-out images along the training, and on the test part at its end.

    Means over the seeds and their standard deviation; from one seed, the test part's figure has the standard error over
    its images.
    """
    steps = list(dict.fromkeys(step for curve in curves for step, _, _ in curve.points))
    shown = steps if len(steps) <= 6 else [steps[round(k * (len(steps) - 1) / 5)] for k in range(6)]
    seeds = len({curve.seed for curve in curves})
    spread = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "± standard error over the test images"
    table = Table(title=f"Bits per dimension after the same training, {spread}", title_justify="left")
    table.add_column("flow")
    for title in ("parameters", *(f"step {step}" for step in shown), "seconds", "test"):
        table.add_column(title, justify="right")
    for name in dict.fromkeys(curve.name for curve in curves):
        own = [curve for curve in curves if curve.name == name]
        found = [[bits for curve in own for at, _, bits in curve.points if at == step] for step in shown]
        test = [curve.bits for curve in own]
        table.add_row(
            name,
            str(own[0].parameters),
            *(_mean_and_spread(bits) if bits else "–" for bits in found),
            f"{mean(curve.points[-1][1] for curve in own):.0f}",
            _mean_and_spread(test) if seeds > 1 else f"{test[0]:.3f} ± {own[0].error:.3f}",
        )
    return table


def _mean_and_spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
