"""Psfs that the commands of ``deconv psf`` read, write and describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from .outputs import check_outputs, check_psf_target, write_psf

if TYPE_CHECKING:
    from torch import Tensor

    from ..imaging.picture import VoxelSize

__all__ = ["SIZE", "Output", "read_psf", "save_psf", "say"]

Output = Annotated[
    Path,
    Option("--output", "-o", metavar="OUT", help="The psf: .tif, .ome.zarr, .npy, .fits, .mrc; .png for two axes."),
]
SIZE = "Slices by rows by columns, 31x63x63; rows by columns, 31x31."


def read_psf(path: Path) -> tuple[Tensor, VoxelSize | None, str]:
    """The one psf in a file, the size of its voxels, and what was done to it."""
    from ..imaging.psf.stored import read_psfs

    found, voxel = read_psfs(path)
    if len(found) > 1:
        raise ValueError(f"{path}: it holds {len(found)} psfs, one for each channel; expected one")
    return found[0][0], voxel, str(found[0][1]).partition(", ")[2]  # the size is told anyway


def save_psf(
    path: Path, h: Tensor, words: str, voxel: VoxelSize | None, read: tuple[Path, ...], overwrite: bool
) -> None:
    """Write a psf, and say what it is."""
    check_psf_target(path, volume=h.ndim > 2)
    check_outputs({"--output": path}, read, psf="--output", overwrite=overwrite)
    write_psf(path, h, voxel)
    say(path, words, h, voxel)


def say(path: Path, words: str, h: Tensor, voxel: VoxelSize | None) -> None:
    """Print a psf's file, origin and facts in a line."""
    typer.echo(f"{path}: {'; '.join(filter(None, (words, _facts(h, voxel))))}")


def _facts(h: Tensor, voxel: VoxelSize | None) -> str:
    """Size, sum, centroid and widths in a line."""
    from ..imaging.psf import widths
    from ..imaging.psf.moments import centroid

    fwhm = widths(h)
    sizes = () if voxel is None else voxel.sizes()[-h.ndim :]
    metric = [None if size is None else width * size * 1e6 for width, size in zip(fwhm, sizes, strict=False)]
    words = [
        " x ".join(map(str, h.shape)),
        f"sum {float(h.double().sum()):.6g}",
        f"centroid ({', '.join(f'{d:+.2f}' for d in centroid(h.double()).tolist())})",
        f"FWHM {' x '.join(f'{w:.2f}' for w in fwhm)} pixels",
    ]
    if metric and None not in metric:
        words[-1] += f", {' x '.join(f'{m:.3g}' for m in metric)} um"
    return "; ".join(words)
