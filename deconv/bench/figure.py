"""The solver benchmark as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import Report

__all__ = ["draw"]


def draw(report: Report, path: Path) -> None:
    """Ratios as bars, one colour for each number of threads; growth as curves, solve beside `conv2d`."""
    from matplotlib.figure import Figure

    series = list(dict.fromkeys(point.variable for point in report.growth))
    figure = Figure(figsize=(12, 10 if series else 6), layout="constrained")
    top, *below = figure.subfigures(2, 1, height_ratios=(3, 2)) if series else (figure,)

    axes = top.subplots()
    rows = [*report.rows, *report.few_images]
    cases = list(dict.fromkeys(row.case for row in rows))
    counts = report.threads
    thickness = 0.8 / len(counts)
    for index, threads in enumerate(counts):
        bars = [(cases.index(row.case), row.ratio) for row in rows if row.threads == threads and row.ratio]
        places = [place + (index - (len(counts) - 1) / 2) * thickness for place, _ in bars]
        label = f"{threads} thread{'s' if threads > 1 else ''}"
        drawn = axes.barh(places, [ratio - 1 for _, ratio in bars], thickness, left=1, label=label)
        axes.bar_label(drawn, [f"{ratio:.2f}" for _, ratio in bars], padding=3, fontsize="small")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.margins(x=0.1)
    axes.set_yticks(range(len(cases)), map(str, cases))
    axes.invert_yaxis()
    axes.set_xlabel("time of a solve / time of conv2d")
    axes.set_title("Inverting a convolution, relative to applying it (left of 1: faster)")
    axes.legend()

    for axes, variable in zip(
        below[0].subplots(1, len(series), squeeze=False)[0] if below else (), series, strict=True
    ):
        points = [point for point in report.growth if point.variable == variable and point.correct]
        values = [point.value for point in points]
        axes.loglog(values, [point.solve * 1e3 for point in points], "o-", label="solve")
        axes.loglog(values, [point.convolution * 1e3 for point in points], "s--", label="conv2d")
        axes.set_xlabel(variable)
        axes.set_ylabel("milliseconds")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
