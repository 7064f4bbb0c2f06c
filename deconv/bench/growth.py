"""How the time of a solve grows with the image, the kernel and the channels."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .operations import Operands, accuracy, convolutions, solution
from .shapes import SolveCase
from .timing import interleaved_medians

__all__ = ["SERIES", "Growth", "measure_growth"]

# The cases of each series, and the value of the variable in each of them.
SERIES = {
    "image side": {SolveCase(1, 1, side, side, 5, 5): side for side in (64, 128, 256, 512, 1024, 2048)},
    "kernel size": {SolveCase(1, 1, 256, 256, size, size): size for size in (1, 2, 3, 5, 7, 11, 15, 21, 31)},
    "channels": {SolveCase(16, channels, 32, 32, 3, 3): channels for channels in (1, 2, 4, 8, 12, 16, 24, 48)},
}


@dataclass(frozen=True)
class Growth:
    """Forward times in seconds at one value of the variable. A wrong solution has no time."""

    variable: str
    value: int
    case: SolveCase
    correct: bool
    solve: float | None
    convolution: float | None

    @property
    def ratio(self) -> float | None:
        return self.solve / self.convolution if self.correct else None

    @property
    def nanoseconds(self) -> float | None:
        """Per element of the images."""
        return self.solve / self.case.pixels * 1e9 if self.correct else None

    def record(self) -> dict:
        return asdict(self) | {"ratio": self.ratio, "nanoseconds_per_element": self.nanoseconds}


def measure_growth(
    variable: str, value: int, case: SolveCase, solver: str | None, device: str, seconds: float
) -> Growth:
    """One point of a series."""
    operands = Operands.of(case, device)
    if not accuracy(operands, solver).correct:
        return Growth(variable, value, case, False, None, None)
    functions = {name: forward for name, (forward, _) in convolutions(operands).items()}
    functions["solve"] = solution(operands, solver)[0]
    medians = interleaved_medians(functions, seconds=seconds, rounds=(5, 200), device=device)
    solve = medians.pop("solve")
    return Growth(variable, value, case, True, solve, min(medians.values()))
