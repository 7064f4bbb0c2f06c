"""``deconv psf``: make psfs of formulas and of beads, look at them, and bring them to a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from .late_help import Commands, LateHelp
from .options import Overwrite
from .psf_microscopes import confocal, gibson_lanni, vectorial
from .psf_values import SIZE, Output, read_psf, save_psf, say
from .values import sides

__all__ = ["psfs"]

psfs = typer.Typer(cls=Commands, rich_markup_mode=None)

_INPUT = Annotated[Path, Argument(metavar="IN", help="The psf: a picture, a stack, .npy or .mat.")]
_SPEC = "A text such as motion:15,30, gaussian:2 or moffat:3.2,beta=3."


@psfs.callback(invoke_without_command=True)
def psf(context: typer.Context) -> None:
    """Make a psf by a formula or from beads, look at it, resample, centre or crop it.

    \b
    Example:
      deconv psf beads beads.tif -o psf.tif
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@psfs.command("make", cls=LateHelp)
def make(
    spec: Annotated[str, Argument(metavar="SPEC", help=_SPEC)],
    output: Output,
    overwrite: Overwrite = False,
) -> None:
    """Make a psf of two axes by a formula.

    \b
    Example:
      deconv psf make moffat:3.2,beta=3 -o star.fits
    """
    from ..imaging import psf

    save_psf(output, psf.parse(spec), spec, None, (), overwrite)


psfs.command("gibson-lanni", cls=LateHelp)(gibson_lanni)
psfs.command("vectorial", cls=LateHelp)(vectorial)
psfs.command("confocal", cls=LateHelp)(confocal)


@psfs.command("beads", cls=LateHelp)
def beads(
    source: Annotated[Path, Argument(metavar="IN", help="A stack of beads, or a picture of beads or stars.")],
    output: Output,
    size: Annotated[str | None, Option(metavar="DxHxW", help=f"{SIZE} By default 15 slices of 31 x 31.")] = None,
    channel: Annotated[int | None, Option(metavar="N", help="Which channel of the stack, from 0 on.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Distil a psf from beads: freed of neighbours' light, registered to a part of a pixel, and averaged.

    \b
    Example:
      deconv psf beads beads.tif -o psf.tif --size 21x31x31
    """
    from ..imaging import psf
    from ..imaging.stacks import read_volume

    volume = read_volume(source)
    values, axes = volume.values, volume.axes
    if "T" in axes or (channel is None and "C" in axes):
        raise ValueError(
            f"{source}: its axes are {axes}; expected slices of beads{'' if 'T' in axes else ', or --channel'}"
        )
    if channel is not None:
        count = values.shape[axes.index("C")] if "C" in axes else 0
        if not 0 <= channel < count:
            raise ValueError(f"--channel: {source} has {count or 'no'} channels, given {channel}")
        values, axes = values.take(channel, axes.index("C")), axes.replace("C", "")
    usual = tuple(min(n, m - 1 + m % 2) for n, m in zip((15, 31, 31)[-values.ndim :], values.shape, strict=True))
    h, report = psf.from_beads(values, usual if size is None else sides(size, values.ndim))
    save_psf(output, h, f"{source}: {report}", volume.voxel, (source,), overwrite)


@psfs.command("resample", cls=LateHelp)
def resample(
    source: _INPUT,
    output: Output,
    by: Annotated[str, Option(metavar="N|NxNxN", help="New distance of samples over the old one: 2 or 2x1x1.")],
    overwrite: Overwrite = False,
) -> None:
    """Bring a psf to another spacing.

    \b
    Example:
      deconv psf resample fine.tif -o coarse.tif --by 2x1x1
    """
    from dataclasses import replace

    from ..imaging import psf

    h, voxel, words = read_psf(source)
    try:
        factors = [float(part) for part in by.split("x")]
    except ValueError:
        raise ValueError(f"--by: expected a number, or one for each axis like 2x1x1, given {by!r}") from None
    factors = factors * h.ndim if len(factors) == 1 else factors
    coarse = psf.resample(h, factors)
    if voxel is not None:
        z, y, x = [1.0] * (3 - h.ndim) + factors
        across = voxel.resolution and (voxel.resolution[0] / x, voxel.resolution[1] / y)
        voxel = replace(voxel, spacing=voxel.spacing and voxel.spacing * z, resolution=across)
    save_psf(output, coarse, words, voxel, (source,), overwrite)


@psfs.command("centre", cls=LateHelp)
def centre(source: _INPUT, output: Output, overwrite: Overwrite = False) -> None:
    """Bring a psf's centroid to its centre, to a part of a pixel."""
    from ..imaging import psf

    h, voxel, words = read_psf(source)
    save_psf(output, psf.centre(h), words, voxel, (source,), overwrite)


@psfs.command("crop", cls=LateHelp)
def crop(
    source: _INPUT,
    output: Output,
    size: Annotated[str, Option(metavar="DxHxW", help=SIZE)],
    overwrite: Overwrite = False,
) -> None:
    """Cut a psf about its centre to a smaller odd size, and say what light that loses."""
    h, voxel, words = read_psf(source)
    wanted = sides(size, h.ndim)
    if any(n % 2 == 0 or n > m for n, m in zip(wanted, h.shape, strict=True)):
        raise ValueError(f"--size: expected odd numbers up to {' x '.join(map(str, h.shape))}, given {size}")
    inside = tuple(
        slice((m - 1) // 2 - n // 2, (m - 1) // 2 + n // 2 + 1) for n, m in zip(wanted, h.shape, strict=True)
    )
    kept = float(h[inside].sum())
    save_psf(
        output,
        h[inside] / kept,
        "; ".join(filter(None, (words, f"{1 - kept:.2%} of the light cut off"))),
        voxel,
        (source,),
        overwrite,
    )


@psfs.command("show", cls=LateHelp)
def show(source: _INPUT) -> None:
    """Print a psf's size, sum, centroid and widths."""
    h, voxel, words = read_psf(source)
    say(source, words, h, voxel)
