"""Blind estimation on photographs whose psf is known: how much is lost by not being told."""

from __future__ import annotations

import json as json_format
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ..blind import aligned_psnr, aligned_ssim, estimate, kernel_similarity
from ..blind.confidence import Signs
from ..blind.observation import effective_noise
from ..choices import check_choice
from ..imaging.arrays import as_image_batch
from ..imaging.psf import from_file
from ..restore import hyper_laplacian
from .blind_cases import Case, in_folder, synthetic
from .blind_confidence import RIGHT, fit_weights, verdicts
from .blind_wide import HARSH, WIDE, Half, wide

__all__ = ["Outcome", "Score", "Suite", "main", "measure"]

Suite = Literal["default", "wide", "harsh"]

_BORDER, _REACH = 15, 10


@dataclass(frozen=True)
class Score:
    """A photograph restored with some psf. psnr and ssim: at the best shift; similarity: to the true psf."""

    psnr: float
    ssim: float
    similarity: float


@dataclass(frozen=True)
class Outcome:
    """One case: with the true psf, with ours, and with those that others have estimated, by name of the method."""

    name: str
    known: Score
    ours: Score
    seconds: float
    warnings: tuple[str, ...]
    confidence: float
    signs: Signs | None
    others: dict[str, Score]

    def ratio(self, score: Score) -> float:
        """Squared error over that with the true psf."""
        return 10 ** ((self.known.psnr - score.psnr) / 10)


def measure(case: Case, *, starts: int = 16, kernel_size: int | None = None, others: Path | None = None) -> Outcome:
    """Estimate, restore and compare, all by the same restoration; the clock runs for the estimation only."""
    started = time.perf_counter()
    found = estimate(case.blurred, kernel_size or case.window, starts=starts, progress=False)
    seconds = time.perf_counter() - started
    rivals = {}
    for folder in sorted(others.iterdir()) if others else ():
        path = folder / f"{case.name}.png"
        if path.is_file():
            rivals[folder.name] = _score(case, from_file(path)[0])
    scores = _score(case, case.psf), _score(case, found.psf)
    return Outcome(case.name, *scores, seconds, found.warnings, found.confidence, found.signs, rivals)


def _score(case: Case, psf: Tensor) -> Score:
    image, back = as_image_batch(case.blurred)
    image = back(hyper_laplacian(image, psf, sigma=effective_noise(image), progress=False))
    search = {"border": _BORDER, "reach": _REACH}
    return Score(
        aligned_psnr(image, case.sharp, **search),
        aligned_ssim(image, case.sharp, **search),
        kernel_similarity(psf, case.psf),
    )


def main(
    *,
    suite: Suite = "default",
    half: Half = "both",
    seed: int = 0,
    root: Path | None = None,
    psfs: Path | None = None,
    noise: float | None = None,
    starts: int = 16,
    kernel_size: int | None = None,
    only: str = "",
    calibrate: bool = False,
    json: Path | None = None,
) -> list[Outcome]:
    """Measure all cases whose names contain `only`, print each as it is done, and the means at the end; with
    `calibrate`, also the weights of `deconv.blind.confidence` fitted to them."""
    console = Console()
    cases = list(_cases(suite, half, seed, root, noise))
    outcomes = []
    console.print("case: PSNR, SSIM with the true psf, the estimated one; error ratio; similarity; seconds; confidence")
    for case in cases:
        if only not in case.name:
            continue
        outcome = measure(case, starts=starts, kernel_size=kernel_size, others=psfs)
        outcomes.append(outcome)
        known, ours = outcome.known, outcome.ours
        words = [
            f"{case.name}: {known.psnr:.2f} / {known.ssim:.4f}, {ours.psnr:.2f} / {ours.ssim:.4f}",
            f"{outcome.ratio(ours):.2f}",
            f"{ours.similarity:.3f}",
            f"{outcome.seconds:.1f}",
            f"confidence {outcome.confidence:.2f}",
            *outcome.warnings,
        ]
        console.print("; ".join(words), soft_wrap=True, highlight=False)
    if not outcomes:
        raise ValueError(f"only: no case has {only!r} in its name")
    console.print(_table(outcomes))
    ratios = [outcome.ratio(outcome.ours) for outcome in outcomes]
    found = [not outcome.warnings for outcome in outcomes]
    console.print(verdicts(ratios, found, [outcome.confidence for outcome in outcomes]), soft_wrap=True)
    if calibrate:
        console.print(f"weights: {fitted(outcomes)}", soft_wrap=True, highlight=False)
    if json is not None:
        json.write_text(json_format.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    return outcomes


def fitted(outcomes: Sequence[Outcome]) -> tuple[float, ...]:
    """The weights of the confidence from the cases in which a psf was found."""
    rows = [(outcome.signs, outcome.ratio(outcome.ours)) for outcome in outcomes if not outcome.warnings]
    signs = np.array([astuple(signs) for signs, _ in rows if signs is not None])
    return fit_weights(signs, np.array([ratio <= RIGHT for _, ratio in rows], dtype=float))


def _cases(suite: Suite, half: Half, seed: int, root: Path | None, noise: float | None) -> Iterator[Case]:
    check_choice("suite", suite, get_args(Suite))
    if suite != "default":
        if root is None or noise is not None:
            raise ValueError(f"suite: {suite} takes the photographs in root, and has a noise of its own for each case")
        yield from wide(root, WIDE if suite == "wide" else HARSH, half=half, seed=seed)
    elif half != "both" or seed:
        name, given = ("half", half) if half != "both" else ("seed", seed)
        raise ValueError(f"{name}: only the wide and the harsh suite have one, given {given!r}")
    elif root is not None:
        yield from in_folder(root, noise=noise or 0.0)
    else:
        yield from synthetic(noise=0.005 if noise is None else noise)


def _table(outcomes: Iterable[Outcome]) -> Table:
    """Means over the cases, and in how many of them the error ratio stays below 1.5, 2 and 3.

    Those of another method are over the cases that it has a psf for, with ours and the true one's on the same beside.
    """
    outcomes = list(outcomes)
    table = Table(
        title=f"{len(outcomes)} cases, the same restoration with every psf", title_justify="left", padding=(0, 0)
    )
    table.add_column("psf")
    for title in ("cases", "PSNR", "ours", "known", "SSIM", "similar", "<= 1.5", "<= 2", "<= 3", "worst"):
        table.add_column(title, justify="right")
    methods = {name for outcome in outcomes for name in outcome.others}
    for name in ("known", "ours", *sorted(methods)):
        rows = [(outcome, score) for outcome in outcomes if (score := _of(outcome, name)) is not None]
        ratios = [outcome.ratio(score) for outcome, score in rows]
        table.add_row(
            name,
            str(len(rows)),
            f"{statistics.mean(score.psnr for _, score in rows):.2f}",
            f"{statistics.mean(outcome.ours.psnr for outcome, _ in rows):.2f}",
            f"{statistics.mean(outcome.known.psnr for outcome, _ in rows):.2f}",
            f"{statistics.mean(score.ssim for _, score in rows):.4f}",
            f"{statistics.mean(score.similarity for _, score in rows):.3f}",
            *(str(int(np.sum(np.array(ratios) <= limit))) for limit in (1.5, 2, 3)),
            f"{max(ratios):.2f}",
        )
    return table


def _of(outcome: Outcome, name: str) -> Score | None:
    return {"known": outcome.known, "ours": outcome.ours}.get(name) or outcome.others.get(name)
