"""``deconv bench prior``: how probable a prior finds photographs that it has not seen, and how it denoises them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from ..imaging.metrics import psnr
from ..prior import GaussianMixturePrior, ImagePrior, cosine_basis, load_prior
from ..training.data import ImageSet
from ..training.data.crops import read_crops
from .output import check_writable, console_of_width, write_json

__all__ = ["NOISE", "main"]

NOISE = (0.004, 0.01, 0.03, 0.1)
# Of crops. What is beyond their border, no density of images can know; the larger they are, the less that counts.
_SIDE = 128
_DENOISED = 25 / 255
# Crops that the single Gaussian is fitted to: 256 blocks in each, for 2016 numbers.
_FITTED = 1000
_TOGETHER = 4


def main(
    *,
    root: Path,
    prior: str | os.PathLike = "flow",
    crops: int = 96,
    noise: Sequence[float] = NOISE,
    json: Path | None = None,
    console: Console | None = None,
) -> list[dict]:
    """Compare a single Gaussian of full covariance, the mixture and a prior on the same noisy crops of 128 x 128.

    Figures: minus the log-density of what is in the blocks given their means, in nats a dimension; and the PSNR after
    one pass of denoising at 25/255.

    Parameters
    ----------
    root : Path
        Photographs, in folders ``train`` and ``val`` or all together; see `deconv.training.data.crops`. The Gaussian is
        fitted to the ones, the figures are of the others.
    prior : str or path-like
        A name or a file of `deconv.prior.load_prior`.
    crops : int
        Crops to measure on, at least 2.
    noise : sequence of float
        Standard deviations of the noise.
    json : Path, optional
        Also write the rows to this file.
    console : Console, optional
        Where to print.

    Returns
    -------
    list of dict
        A row for each density.

    Raises
    ------
    FileNotFoundError, ValueError
        No photographs, no prior, or fewer crops than 2.
    """
    if crops < 2:
        raise ValueError(f"crops: expected at least 2, given {crops}")
    console = console or console_of_width(100)
    check_writable("json", json)
    densities: dict[str, ImagePrior] = {"gmm, 200 Gaussians": load_prior("gmm"), str(prior): load_prior(prior)}
    photographs = read_crops(root, size=_SIDE)
    densities = {"one Gaussian": _gaussian(photographs.train), **densities}
    clean = _images(photographs.validation, crops)
    rows = []
    for name, density in densities.items():
        with console.status(name):
            nats = {level: _nats(density, clean, level) for level in noise}
            rows.append({"density": name, "nats": nats, "psnr": _denoised(density, clean)})
    console.print(_table(rows, noise, len(clean)))
    write_json(json, [{**row, "nats": {level: each.tolist() for level, each in row["nats"].items()}} for row in rows])
    return rows


def _images(crops: ImageSet, count: int) -> Tensor:
    return crops.__getitems__(range(min(count, len(crops)))).images.float() / 255


def _gaussian(crops: ImageSet) -> GaussianMixturePrior:
    """The one of the covariance that blocks have."""
    blocks = pixel_unshuffle(_images(crops, _FITTED), 8).movedim(1, -1).flatten(0, 2).double()
    coefficients = blocks @ cosine_basis(8).double().T
    covariance = coefficients.T @ coefficients / len(coefficients)
    return GaussianMixturePrior.from_covariances(torch.ones(1), covariance[None])


@torch.no_grad()
def _nats(density: ImagePrior, clean: Tensor, level: float) -> Tensor:
    """Of each crop, a dimension; a block of n x n has n^2 - 1, its mean being given."""
    noisy = clean + level * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    dimensions = clean[0].numel() * (1 - 1 / density.size**2)
    parts = [density.log_prob(part, level, stride=density.size) for part in noisy.split(_TOGETHER)]
    return -torch.cat(parts) / dimensions


@torch.no_grad()
def _denoised(density: ImagePrior, clean: Tensor) -> float:
    """Mean PSNR, dB."""
    noisy = clean + _DENOISED * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    found = [density.denoise(part, _DENOISED, passes=1, stride=density.size) for part in noisy.split(_TOGETHER)]
    return sum(float(psnr(x, y)) for x, y in zip(torch.cat(found), clean, strict=True)) / len(clean)


def _table(rows: Sequence[dict], noise: Sequence[float], count: int) -> Table:
    """With the lead of the last density over the mixture and its standard error."""
    table = Table(title=f"Nats a dimension of {count} crops, the less the better, by noise", title_justify="left")
    table.add_column("density")
    for level in noise:
        table.add_column(f"{level:g}", justify="right")
    table.add_column("PSNR at 25/255", justify="right")
    for row in rows:
        figures = [f"{float(row['nats'][level].mean()):.4f}" for level in noise]
        table.add_row(row["density"], *figures, f"{row['psnr']:.2f} dB")
    leads = {level: rows[-2]["nats"][level] - rows[-1]["nats"][level] for level in noise}
    table.add_row("lead over gmm", *(f"{float(leads[level].mean()):.4f}" for level in noise), "")
    errors = [float(leads[level].std()) / math.sqrt(count) for level in noise]
    table.add_row("standard error", *(f"{error:.4f}" for error in errors), "")
    return table
