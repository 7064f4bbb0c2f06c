"""Psfs that differ from place to place."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Literal, overload

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from .api import estimate
from .evidence import Candidate, Hypothesis
from .kernel_estimate import KernelEstimate, NoBlurFound
from .observation import Observation, channel_noise, window_size
from .registration import registered
from .reject import THRESHOLDS
from .support import centred

__all__ = ["estimate_field"]

_OVERLAP = 1.2  # side of a tile, in distances between tiles
_ROUNDS = 2

Place = tuple[int, int]


@overload
def estimate_field(
    image: Any,
    grid: tuple[int, int],
    kernel_size: int | tuple[int, int] | None = None,
    *,
    starts: int = 4,
    sigma: Any = None,
    info: Literal[False] = False,
    progress: bool | None = None,
) -> Tensor: ...
@overload
def estimate_field(
    image: Any,
    grid: tuple[int, int],
    kernel_size: int | tuple[int, int] | None = None,
    *,
    starts: int = 4,
    sigma: Any = None,
    info: Literal[True],
    progress: bool | None = None,
) -> tuple[Tensor, dict[Place, KernelEstimate]]: ...
def estimate_field(
    image: Any,
    grid: tuple[int, int],
    kernel_size: int | tuple[int, int] | None = None,
    *,
    starts: int = 4,
    sigma: Any = None,
    info: bool = False,
    progress: bool | None = None,
) -> Any:
    """Estimate a psf for each tile of a photograph.

    Each tile is estimated by itself, with a little overlap. Then each compares with its neighbours: a tile takes
    a neighbour's psf, or the mean of its own and the neighbours', where the evidence for that is greater on the tile
    itself. A tile of plain sky, which shows no blur of its own, gets a psf that way. In the end all are moved onto each
    other, see `deconv.blind.registration`, so that an image restored with them is not torn between tiles.

    For the blur of a camera that turned while it moved, `estimate_varying` is quicker and surer.

    Parameters
    ----------
    image : array_like
        One photograph; see `deconv.imaging.arrays`.
    grid : tuple of int
        How many tiles, `(gy, gx)`.
    kernel_size : int or tuple of int, optional
        As for `estimate`, of every tile.
    starts : int
        As for `estimate`.
    sigma : float or array_like, optional
        As for `estimate`.
    info : bool
        Also return what was found on each tile.
    progress : bool, optional
        Show a bar for each tile; by default on a terminal.

    Returns
    -------
    psfs : Tensor
        `(gy, gx, kh, kw)`, tile by tile, top left first, for `psf_field` of the restorations. Tiles without a psf to
        trust have that of no blur.
    estimates : dict
        Only with `info`: for each place `(i, j)` what was found on that tile alone, before its neighbours were asked,
        as `estimate` returns it.

    Raises
    ------
    TypeError, ValueError
        Tiles too small for the window; otherwise as `estimate`.

    Warns
    -----
    NoBlurFound
        Some tiles show no blur of their own, and why.
    """
    batch, _ = as_image_batch(image)
    if len(grid) != 2 or any(not isinstance(n, int) or n < 1 for n in grid):
        raise ValueError(f"grid: expected two whole numbers of at least 1, given {grid!r}")
    level = None if sigma is None else channel_noise(sigma, batch)
    rows, columns = (list(_tiles(n, count)) for n, count in zip(batch.shape[2:], grid, strict=True))
    smallest = min(stop - start for start, stop in rows), min(stop - start for start, stop in columns)
    size = window_size(kernel_size, smallest)
    tiles = {
        (i, j): batch[..., slice(*row), slice(*column)]
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
    }
    estimates = {
        place: estimate(tile, size, starts=starts, sigma=level, progress=progress) for place, tile in tiles.items()
    }
    psfs = {place: found.psf for place, found in estimates.items()}
    observations = {place: Observation.of(tile, level) for place, tile in tiles.items()}
    for _ in range(_ROUNDS):
        psfs = {place: _agreed(place, psfs, observations[place]) for place in tiles}
    if unseen := {place: found.warnings for place, found in estimates.items() if not found.found}:
        reasons = "; ".join(f"{place}: {', '.join(why)}" for place, why in unseen.items())
        warnings.warn(
            f"{len(unseen)} of {len(tiles)} tiles show no blur of their own: {reasons}", NoBlurFound, stacklevel=2
        )
    field = registered(torch.stack([torch.stack([psfs[i, j] for j in range(grid[1])]) for i in range(grid[0])]))
    return (field, estimates) if info else field


def _agreed(place: Place, psfs: dict[Place, Tensor], observation: Observation) -> Tensor:
    """The psf of the greatest evidence on a tile among its own, its neighbours', and the mean of them all."""
    if observation.contrast <= THRESHOLDS.contrast:
        return psfs[place]
    i, j = place
    around = [psfs[p] for p in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)) if p in psfs]
    own = psfs[place]
    means = [centred((own + torch.stack(around).mean(0)) / 2)] if around else []
    hypotheses = [Hypothesis(psf, 0.0, ()) for psf in (own, *around, *means)]
    return min(Candidate.all_of(observation, hypotheses), key=lambda each: each.score).psf


def _tiles(n: int, count: int) -> Iterator[tuple[int, int]]:
    """Where `count` overlapping tiles begin and end along an axis."""
    side = min(n, round(_OVERLAP * n / count))
    for index in range(count):
        middle = (index + 0.5) * n / count
        start = min(max(round(middle - side / 2), 0), n - side)
        yield start, start + side
