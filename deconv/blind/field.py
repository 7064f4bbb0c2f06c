"""Psfs that differ from place to place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from .estimate import estimate
from .observation import Observation, window
from .selection import Candidate, Hypothesis
from .support import centred

__all__ = ["estimate_field"]

_OVERLAP = 1.2  # side of a tile, in distances between tiles
_ROUNDS = 2


def estimate_field(
    image: Any,
    grid: tuple[int, int],
    kernel_size: int | tuple[int, int] | None = None,
    *,
    starts: int = 4,
    sigma: float | None = None,
    progress: bool | None = None,
) -> Tensor:
    """Estimate a psf for each tile of a photograph.

    Each tile is estimated by itself, with a little overlap. Then tiles learn from their neighbours: a tile takes
    a neighbour's psf, or the mean of its own and the neighbours', where the evidence for that is greater on the tile
    itself. A tile of plain sky, which knows no psf of its own, gets one that way.

    Parameters
    ----------
    image: one photograph; see `deconv.imaging.arrays`.
    grid: how many tiles, `(gy, gx)`.
    kernel_size, starts, sigma, progress: as for `estimate`, of every tile.

    Returns
    -------
    psfs `(gy, gx, kh, kw)`, tile by tile, top left first. Tiles without a psf to trust have that of no blur.

    Raises
    ------
    ValueError: tiles too small for the window; otherwise as `estimate`.
    """
    batch, _ = as_image_batch(image)
    if len(grid) != 2 or any(not isinstance(n, int) or n < 1 for n in grid):
        raise ValueError(f"grid: expected two whole numbers of at least 1, given {grid!r}")
    places = [list(_tiles(n, count)) for n, count in zip(batch.shape[2:], grid, strict=True)]
    smallest = tuple(min(stop - start for start, stop in axis) for axis in places)
    size = window(kernel_size, smallest)
    tiles = {
        (i, j): batch[..., slice(*rows), slice(*columns)]
        for i, rows in enumerate(places[0])
        for j, columns in enumerate(places[1])
    }
    options = {"starts": starts, "sigma": sigma, "progress": progress}
    psfs = {place: estimate(tile, size, **options).psf for place, tile in tiles.items()}
    observations = {place: Observation.of(tile, sigma) for place, tile in tiles.items()}
    for _ in range(_ROUNDS):
        psfs = {place: _agreed(place, psfs, observations[place]) for place in tiles}
    return torch.stack([torch.stack([psfs[i, j] for j in range(grid[1])]) for i in range(grid[0])])


def _agreed(place: tuple[int, int], psfs: dict[tuple[int, int], Tensor], seen: Observation) -> Tensor:
    """The likeliest psf on a tile among its own, its neighbours', and the mean of them all."""
    if seen.flat:
        return psfs[place]
    i, j = place
    around = [psfs[p] for p in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)) if p in psfs]
    own = psfs[place]
    means = [centred((own + torch.stack(around).mean(0)) / 2)] if around else []
    hypotheses = [Hypothesis(psf, 0.0, ()) for psf in (own, *around, *means)]
    return min(Candidate.all_of(seen, hypotheses), key=lambda c: c.score).psf


def _tiles(n: int, count: int) -> Iterator[tuple[int, int]]:
    """Where `count` overlapping tiles begin and end along an axis."""
    side = min(n, round(_OVERLAP * n / count))
    for index in range(count):
        middle = (index + 0.5) * n / count
        start = min(max(round(middle - side / 2), 0), n - side)
        yield start, start + side
