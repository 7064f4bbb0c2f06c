"""What the solver benchmark measures, in the form that is printed, drawn and written."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

import deconv

from .growth import Growth
from .operations import Accuracy
from .roofline import Roofline
from .shapes import SolveCase
from .timing import geometric_mean

__all__ = ["Report", "Row", "machine"]


@dataclass(frozen=True)
class Row:
    """One case, measured. Times in seconds; `convolution` is that of the fastest variant of `conv2d`."""

    case: SolveCase
    threads: int
    solver: str
    accuracy: Accuracy
    convolution: float
    solve: float
    convolution_with_gradients: float
    solve_with_gradients: float
    convolution_variants: tuple[str, str]  # which one that was, without and with gradients
    memory: dict[str, int] | None  # bytes at the peak, beyond the operands
    graphs: dict[str, float] | None = None  # the same four times, replayed from CUDA graphs

    @property
    def ratio(self) -> float | None:
        """Solve over `conv2d`; None for a solve that is wrong."""
        return self.solve / self.convolution if self.accuracy.correct else None

    @property
    def ratio_with_gradients(self) -> float | None:
        return self.solve_with_gradients / self.convolution_with_gradients if self.accuracy.correct else None

    @property
    def graph_ratio(self) -> float | None:
        """Of the times in CUDA graphs; None where there are none."""
        return self._graph_ratio("solve", "convolution")

    @property
    def graph_ratio_with_gradients(self) -> float | None:
        return self._graph_ratio("solve_with_gradients", "convolution_with_gradients")

    def _graph_ratio(self, solve: str, convolution: str) -> float | None:
        return self.graphs[solve] / self.graphs[convolution] if self.graphs and self.accuracy.correct else None

    def record(self) -> dict:
        """For a JSON file."""
        ratios = ("ratio", "ratio_with_gradients", "graph_ratio", "graph_ratio_with_gradients")
        return asdict(self) | {name: getattr(self, name) for name in ratios}


@dataclass
class Report:
    """Everything measured."""

    solver: str | None
    device: str
    threads: list[int]
    seconds: float
    rows: list[Row] = field(default_factory=list)
    few_images: list[Row] = field(default_factory=list)
    rivals: dict[str, dict[str, float]] = field(default_factory=dict)
    diagonals: dict[str, list[dict[str, float]]] = field(default_factory=dict)  # without and with gradients
    roofline: Roofline | None = None
    growth: list[Growth] = field(default_factory=list)

    @property
    def correct(self) -> bool:
        """Whether every solve was right."""
        rows = [*self.rows, *self.few_images]
        return all(row.accuracy.correct for row in rows) and all(point.correct for point in self.growth)

    def means(self, threads: int) -> dict[str, float | None]:
        """Geometric means of the ratios over the table, where there are rows; None where one of them is wrong."""
        rows = [row for row in self.rows if row.threads == threads]
        several = [row for row in rows if row.case.channels >= 4]
        ratios = {
            "forward": [row.ratio for row in rows],
            "forward, 4 channels or more": [row.ratio for row in several],
            "forward and backward": [row.ratio_with_gradients for row in rows],
        }
        if any(row.graphs for row in rows):
            ratios |= {
                "forward, in graphs": [row.graph_ratio for row in rows],
                "forward, 4 channels or more, in graphs": [row.graph_ratio for row in several],
                "forward and backward, in graphs": [row.graph_ratio_with_gradients for row in rows],
            }
        return {name: None if None in values else geometric_mean(values) for name, values in ratios.items() if values}

    def record(self) -> dict:
        """For a JSON file."""
        return {
            "machine": machine(),
            "versions": {"deconv": deconv.__version__, "torch": torch.__version__, "python": platform.python_version()},
            "settings": {
                "solver": self.solver,
                "device": self.device,
                "threads": self.threads,
                "seconds": self.seconds,
            },
            "correct": self.correct,
            "means": {str(threads): self.means(threads) for threads in self.threads},
            "rows": [row.record() for row in self.rows],
            "few_images": [row.record() for row in self.few_images],
            "rivals": self.rivals,
            "diagonals": self.diagonals,
            "roofline": self.roofline and self.roofline.record(),
            "growth": [point.record() for point in self.growth],
        }


def machine() -> dict[str, str | int | None]:
    """What it was measured on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = (line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line)
        processor = next(names, processor)
    described = {"processor": processor, "cores": os.cpu_count(), "system": platform.platform()}
    if torch.cuda.is_available():
        described["accelerator"] = torch.cuda.get_device_name()
    return described
