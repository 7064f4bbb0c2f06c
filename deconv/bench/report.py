"""The tables of the solver benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from .growth import Growth
    from .results import Row
    from .roofline import Roofline

__all__ = [
    "diagonals_table",
    "graphs_table",
    "growth_table",
    "means_table",
    "rivals_table",
    "roofline_table",
    "rows_table",
]


def rows_table(rows: Sequence[Row], what: str) -> Table:
    """Times in milliseconds, ratios, the error, and the peak of the extra memory in multiples of the images."""
    threads = f"{rows[0].threads} thread{'s' if rows[0].threads > 1 else ''}"
    table = Table(title=f"Solving against convolving, {what}, {threads}", title_justify="left")
    table.add_column("images, kernel", no_wrap=True)
    table.add_column("solver")
    for title in ("conv2d\nms", "solve\nms", "ratio", "conv2d\n+ backward", "solve\n+ backward", "ratio", "error"):
        table.add_column(title, justify="right")
    table.add_column("memory\nforward", justify="right")
    table.add_column("memory\n+ backward", justify="right")
    for row in rows:
        size = 4 * row.case.pixels
        memory = [f"{bytes_ / size:.1f} x" for bytes_ in row.memory.values()] if row.memory else ["–", "–"]
        table.add_row(
            str(row.case),
            row.solver,
            _milliseconds(row.convolution),
            _milliseconds(row.solve),
            _ratio(row.ratio),
            _milliseconds(row.convolution_with_gradients),
            _milliseconds(row.solve_with_gradients),
            _ratio(row.ratio_with_gradients),
            f"{row.accuracy.solution:.0e}",
            *memory,
        )
    return table


def means_table(means: dict[str, float | None], count: int) -> Table:
    """Geometric means; `count` rows of batches are in them."""
    table = Table(title=f"Geometric mean of the ratios, {count} batches of images", title_justify="left")
    for name in means:
        table.add_column(name, justify="right")
    table.add_row(*map(_ratio, means.values()))
    return table


def rivals_table(rivals: dict[str, dict[str, float]]) -> Table:
    """Times of the alternatives, and how many times faster the solver is."""
    names = sorted({name for times in rivals.values() for name in times if name != "deconv"})
    table = Table(title="What one would use instead (their matrix is built beforehand)", title_justify="left")
    table.add_column("images, kernel", no_wrap=True)
    table.add_column("deconv\nms", justify="right")
    for name in names:
        table.add_column(f"{name.rsplit('.', 1)[1]}\nms", justify="right")
        table.add_column("speed-up", justify="right")
    for case, times in rivals.items():
        cells = [case, _milliseconds(times["deconv"])]
        for name in names:
            known = name in times
            cells += [_milliseconds(times[name]), f"{times[name] / times['deconv']:.1f} x"] if known else ["–", "–"]
        table.add_row(*cells)
    return table


def diagonals_table(diagonals: dict[str, list[dict[str, float]]]) -> Table:
    """Times of the schedule that solves one diagonal after the other, and how many times faster the solver is."""
    table = Table(title="Some launches for each diagonal of pixels, as in the paper, corrected", title_justify="left")
    table.add_column("images, kernel", no_wrap=True)
    for title in ("diagonals\nms", "solve\nms", "speed-up", "diagonals\n+ backward", "solve\n+ backward", "speed-up"):
        table.add_column(title, justify="right")
    for case, measured in diagonals.items():
        cells = [
            (_milliseconds(times["diagonals"]), _milliseconds(times["solve"]), _speedup(times)) for times in measured
        ]
        table.add_row(case, *cells[0], *cells[1])
    return table


def roofline_table(rows: Sequence[Row], roofline: Roofline) -> Table:
    """What the device could do at best, and the share of it that the solver reaches."""
    table = Table(
        title=f"Roofline: copies {roofline.bytes_per_second / 1e9:.4g} GB/s, "
        f"products of matrices {roofline.flops_per_second / 1e9:.4g} GFLOP/s",
        title_justify="left",
    )
    table.add_column("images, kernel", no_wrap=True)
    for title in ("MB moved", "GFLOP", "at best\nms", "solve\nms", "reached"):
        table.add_column(title, justify="right")
    for row in rows:
        best = roofline.seconds(row.case)
        table.add_row(
            str(row.case),
            f"{roofline.bytes(row.case) / 1e6:.3g}",
            f"{roofline.flops(row.case) / 1e9:.3g}",
            _milliseconds(best),
            _milliseconds(row.solve),
            f"{best / row.solve:.0%}",
        )
    return table


def graphs_table(rows: Sequence[Row], roofline: Roofline) -> Table:
    """Times replayed from CUDA graphs, ratios, and the share of the bandwidth of copies that solving reaches."""
    table = Table(title="Replayed from CUDA graphs, without the host's part", title_justify="left")
    table.add_column("images, kernel", no_wrap=True)
    for title in ("conv2d\nus", "solve\nus", "ratio", "conv2d\n+ backward", "solve\n+ backward", "ratio", "bandwidth"):
        table.add_column(title, justify="right")
    for row in rows:
        times = row.graphs
        if times is None:
            continue
        names = ("convolution", "solve", "convolution_with_gradients", "solve_with_gradients")
        cells = [f"{1e6 * times[name]:.1f}" for name in names]
        share = roofline.bytes(row.case) / times["solve"] / roofline.bytes_per_second
        table.add_row(
            str(row.case), *cells[:2], _ratio(row.graph_ratio), *cells[2:], _ratio(row.graph_ratio_with_gradients),
            f"{share:.1%}",
        )  # fmt: skip
    return table


def growth_table(points: Sequence[Growth]) -> Table:
    table = Table(title=f"Growth with the {points[0].variable}", title_justify="left")
    for title in (points[0].variable, "conv2d\nms", "solve\nms", "solve\nns per element", "ratio"):
        table.add_column(title, justify="right")
    for point in points:
        table.add_row(
            str(point.value),
            _milliseconds(point.convolution),
            _milliseconds(point.solve),
            "–" if point.nanoseconds is None else f"{point.nanoseconds:.2f}",
            _ratio(point.ratio),
        )
    return table


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1e3:.3g}"


def _speedup(times: dict[str, float]) -> str:
    return f"{times['diagonals'] / times['solve']:.1f} x"


def _ratio(ratio: float | None) -> str:
    return "[bold red]wrong[/]" if ratio is None else f"{ratio:.2f}"
