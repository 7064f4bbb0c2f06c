"""``deconv bench posterior``: whether the deviations of draws from a posterior are those of the errors."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ..imaging import crop, degrade, psnr, valid_margins
from ..imaging.psf import camera_shake
from ..prior import load_prior
from ..restore import flow_posterior
from ..training.data import ImageSet
from ..training.data.crops import read_crops
from .output import check_writable, console_of_width, write_json

__all__ = ["calibrated_spread", "coverage", "main", "rank_histogram"]

NOISE = (0.01, 0.03)

# Side of the observed crops, and the psf's sizes, by turns.
_SIDE, _SIZES = 64, (13, 15, 17, 19, 23)


def main(
    *,
    root: Path,
    prior: str | os.PathLike = "flow",
    cases: int = 24,
    samples: int = 16,
    training: bool = False,
    metropolis: int = 0,
    json: Path | None = None,
    console: Console | None = None,
) -> list[dict]:
    """Compare draws with the truth: crops of 64 x 64 under random shakes, with 1 % and 3 % of noise by turns.

    Figures: how often mean and deviation have the truth in their central 90 %; the histogram of the truth's rank among
    the draws, 1 in every place where draws are from the posterior; and the `spread` at which the truth is beyond
    all draws as often as it should be.

    Parameters
    ----------
    root : Path
        Photographs, in folders ``train`` and ``val`` or all together; see `deconv.training.data.crops`.
    prior : str or path-like
        A name or a file of `deconv.prior.load_prior`.
    cases : int
        How many, at least 1.
    samples : int
        Draws in each, at least 2.
    training : bool
        Take the photographs for training, to choose a spread by; by default those for validation, to report on.
    metropolis : int
        As for `flow_posterior`.
    json : Path, optional
        Also write the rows to this file.
    console : Console, optional
        Where to print.

    Returns
    -------
    list of dict
        A row for each case: noise, psnr of the mean, coverage, ranks, r_hat, acceptance; and one with the means over
        all, with spread.

    Raises
    ------
    FileNotFoundError, ValueError
        No photographs, no prior, or too few cases or samples.
    """
    if cases < 1:
        raise ValueError(f"cases: expected at least 1, given {cases}")
    console = console or console_of_width(100)
    check_writable("json", json)
    density = load_prior(prior)
    photographs = read_crops(root, size=_SIDE + max(_SIZES) - 1)
    crops = photographs.train if training else photographs.validation
    applied = density.refined_spread if metropolis else density.spread
    rows, drawn = [], []
    for number in range(cases):
        observed, psf, latent = _case(crops, number)
        with console.status(f"case {number + 1} of {cases}"):
            how = {"samples": samples, "seed": number, "metropolis": metropolis}
            posterior = flow_posterior(observed, psf, density, progress=False, **how)
        draws = torch.stack(posterior.samples)
        drawn.append((draws, latent))
        row = {"noise": NOISE[number % 2], "psnr": float(psnr(posterior.mean, latent)), "r_hat": posterior.r_hat}
        row["acceptance"] = posterior.acceptance
        rows.append(row | {"coverage": coverage(draws, latent), "ranks": rank_histogram(draws, latent).tolist()})
    ranks = torch.tensor([row["ranks"] for row in rows]).mean(0)
    whole = {key: sum(row[key] for row in rows) / cases for key in ("psnr", "coverage", "r_hat", "acceptance")}
    rows.append(whole | {"ranks": ranks.tolist(), "spread": calibrated_spread(drawn) * applied})
    console.print(_table(rows, samples))
    console.print("ranks of the truth: " + " ".join(f"{rank:.2f}" for rank in ranks.tolist()))
    console.print(f"spread {rows[-1]['spread']:.2f} would put the truth beyond all draws as often as it should be")
    write_json(json, rows)
    return rows


def coverage(draws: Tensor, truth: Tensor) -> float:
    """Share of the pixels in which the truth is in the central 90 % that mean and deviation of `draws` give, `(samples,
    ...)`: of Student's distribution, both being uncertain themselves."""
    from scipy.stats import t

    half = float(t.ppf(0.95, len(draws) - 1)) * math.sqrt(1 + 1 / len(draws)) * draws.std(0)
    return float(((truth - draws.mean(0)).abs() < half).float().mean())


def rank_histogram(draws: Tensor, truth: Tensor) -> Tensor:
    """How often the truth is larger than 0, 1, ... of the draws, `(samples + 1,)`, over what it should be."""
    counts = torch.bincount((draws < truth).sum(0).flatten(), minlength=len(draws) + 1)
    return counts / counts.double().mean()


def calibrated_spread(drawn: list[tuple[Tensor, Tensor]]) -> float:
    """The factor on the distances of draws from their mean at which the truth is beyond all of them as often as it is
    where it is a draw itself; pairs of draws and truth."""
    least, most = 0.1, 10.0
    for _ in range(40):
        factor = math.sqrt(least * most)
        ends = []
        for draws, truth in drawn:
            mean = draws.mean(0)
            ranks = rank_histogram(mean + factor * (draws - mean), truth)
            ends.append(float(ranks[0] + ranks[-1]) / 2)
        least, most = (factor, most) if sum(ends) > len(ends) else (least, factor)
    return math.sqrt(least * most)


def _case(crops: ImageSet, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """What is observed, the psf, and the part of the latent image behind it, by the number of the case."""
    generator = torch.Generator().manual_seed(number)
    index = int(torch.randint(len(crops), (), generator=generator))
    psf = camera_shake(_SIZES[number % len(_SIZES)], seed=number).float()
    side = _SIDE + psf.shape[0] - 1
    sharp = crops.__getitems__([index]).images[0, 0, :side, :side].float() / 255
    observed = degrade(sharp, psf, noise=NOISE[number % 2], seed=number)
    return observed, psf, crop(sharp, valid_margins(psf.shape))


def _table(rows: list[dict], samples: int) -> Table:
    title = f"{samples} draws of {len(rows) - 1} crops; 90 % should be covered"
    table = Table(title=title, title_justify="left")
    for name in ("noise", "PSNR of the mean", "covered", "most and least frequent rank", "R-hat", "accepted"):
        table.add_column(name, justify="right")
    for row in rows:
        ranks = f"{max(row['ranks']):.2f}, {min(row['ranks']):.2f}"
        figures = [f"{row['psnr']:.2f} dB", f"{row['coverage']:.1%}", ranks, f"{row['r_hat']:.2f}"]
        figures.append(f"{row['acceptance']:.0%}" if row["acceptance"] == row["acceptance"] else "-")
        table.add_row(f"{row['noise']:.0%}" if "noise" in row else "all", *figures)
    return table
