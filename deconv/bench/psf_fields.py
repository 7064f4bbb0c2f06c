"""``deconv bench fields``: one solve for a psf that varies over the field, beside tiles and beside one psf."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from deconv.imaging import convolve, psnr
from deconv.imaging.psf import gibson_lanni
from deconv.restore import tiled
from deconv.restore.methods import as_method

from .output import check_writable, console_of_width, write_json

__all__ = ["main"]

_METHODS = ("wiener", "tikhonov", "richardson_lucy", "total_variation")

# Pixels of the latent image on every side of what is observed, and voxels.
_OUTSIDE, _OUTSIDE_VOXELS = 20, 4


@dataclass(frozen=True)
class _Case:
    """An observation, its latent image, psfs on a grid, and one psf that stands for all."""

    name: str
    seen: np.ndarray
    sharp: np.ndarray
    field: torch.Tensor
    one: torch.Tensor


def main(
    *, methods: Sequence[str] | None = None, grid: int = 4, json: Path | None = None, console: Console | None = None
) -> list[dict]:
    """Measure and print PSNR and processor seconds, by case and method.

    Two cases: a photograph of which every point is spread by its own comet, which grows to the corners; and filaments
    in a volume of which every slice is spread by the psf of a microscope at its own depth. All methods have their
    defaults.

    Parameters
    ----------
    methods : sequence of str, optional
        Of `deconv.restore.METHODS`.
    grid : int
        Psfs that are known along each axis of the photograph; along the depth there are twice as many.
    json : path, optional
        Where the rows go, too.
    console : Console, optional
        Where to print.

    Returns
    -------
    list of dict
        A row for each case and method.
    """
    console = console or console_of_width(100)
    check_writable("json", json)
    rows = []
    for case in (_coma(grid), _depth(2 * grid)):
        table = Table(title=f"{case.name}, observed {psnr(case.seen, case.sharp):.2f} dB", title_justify="left")
        for title in ("method", "one solve", "tiles", "one psf"):
            table.add_column(title, justify="left" if title == "method" else "right")
        for name in _METHODS if methods is None else methods:
            method = as_method(name)
            row: dict = {"case": case.name, "method": name}
            runs = {
                "one solve": lambda method=method, case=case: method(case.seen, psf_field=case.field),
                "tiles": lambda method=method, case=case: tiled(method, case.seen, case.field, progress=False),
                "one psf": lambda method=method, case=case: method(case.seen, case.one),
            }
            for title, run in runs.items():
                with console.status(f"{case.name}, {name}, {title}"):
                    started = time.process_time()
                    restored = run()
                    seconds = time.process_time() - started
                row[title] = {"psnr": float(psnr(restored, case.sharp)), "seconds": seconds}
            table.add_row(name, *(f"{row[title]['psnr']:.2f} dB, {row[title]['seconds']:.1f} s" for title in runs))
            rows.append(row)
        console.print(table)
    write_json(json, rows)
    return rows


def _comets(y: np.ndarray, x: np.ndarray, size: int = 15) -> np.ndarray:
    """Psfs with tails that point away from the middle, for places from -1 to 1."""
    v, u = np.mgrid[:size, :size] - size // 2
    y, x = y[..., None, None], x[..., None, None]
    psfs = np.zeros((*y.shape[:-2], size, size))
    for t in np.linspace(0, 1, 9):
        width = 0.9 + 0.9 * t * np.hypot(y, x)
        psfs += (1 - 0.8 * t) / width**2 * np.exp(-((v - 5 * t * y) ** 2 + (u - 5 * t * x) ** 2) / (2 * width**2))
    return psfs / psfs.sum((-2, -1), keepdims=True)


def _coma(grid: int, side: int = 400, patches: int = 50) -> _Case:
    from skimage import data

    whole = data.coffee().mean(2)[:side, :side] / 255
    middles = 2 * (np.arange(patches) + 0.5) / patches - 1
    psfs = _comets(*np.meshgrid(middles, middles, indexing="ij"))
    size, patch = psfs.shape[-1], np.arange(side) * patches // side
    spread = np.zeros((side + size - 1, side + size - 1))
    for i, j in _taps(size):
        spread[i : i + side, j : j + side] += whole * psfs[patch[:, None], patch[None], i, j]
    half = size // 2
    blurred = spread[half : half + side, half : half + side]
    inside = (slice(_OUTSIDE, -_OUTSIDE),) * 2
    seen = (blurred + 0.01 * np.random.default_rng(1).standard_normal(blurred.shape))[inside]
    middles = 2 * (_OUTSIDE + (np.arange(grid) + 0.5) * len(seen) / grid) / side - 1
    field = torch.from_numpy(_comets(*np.meshgrid(middles, middles, indexing="ij")))
    return _Case(f"coma, {len(seen)} x {len(seen)} pixels", seen, whole[inside], field, field.mean((0, 1)))


def _depth(grid: int, shape: tuple[int, int, int] = (40, 72, 72), step: float = 0.25) -> _Case:
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(2)
    sharp = np.zeros(shape)
    for _ in range(90):
        start, direction, brightness = random.uniform(0, shape), random.normal(size=3), random.uniform(0.5, 1)
        along = np.arange(0, random.uniform(5, 40), 0.5)[:, None] * direction * [0.4, 1, 1] / np.linalg.norm(direction)
        places = np.round(start + along).astype(int)
        places = places[((places >= 0) & (places < shape)).all(1)]
        sharp[tuple(places.T)] = brightness
    sharp = gaussian_filter(sharp, 1.0)

    def psf(depth: float) -> torch.Tensor:
        optics = {"wavelength": 0.52, "aperture": 1.2, "pixel": 0.11, "step": step, "n_sample": 1.33}
        return gibson_lanni((31, 15, 15), depth=max(depth, 0), z="sample", **optics).double()

    blurred = torch.zeros(1, 1, *shape, dtype=torch.float64)
    for k in range(shape[0]):
        layer = torch.zeros_like(blurred)
        layer[0, 0, k] = torch.from_numpy(sharp[k])
        blurred += convolve(layer, psf(step * k), boundary="zero")
    photons = 400 / float(blurred.max())
    seen = random.poisson(photons * blurred[0, 0].numpy().clip(0)) / photons
    inside = (slice(_OUTSIDE_VOXELS, -_OUTSIDE_VOXELS),) * 3
    seen, sharp = seen[inside], sharp[inside]
    places = _OUTSIDE_VOXELS + (np.arange(grid) + 0.5) * len(seen) / grid - 0.5
    field = torch.stack([psf(step * place) for place in places])[:, None, None]
    return _Case(f"depth, {' x '.join(map(str, seen.shape))} voxels", seen, sharp, field, field[grid // 2, 0, 0])


def _taps(size: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(size) for j in range(size))
