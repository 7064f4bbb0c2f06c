"""``deconv psf``: make psfs of formulas and of beads, look at them, and bring them to a grid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from typer import Argument, Option

from .late_help import LateHelp
from .outputs import check_outputs, write_psf

if TYPE_CHECKING:
    from torch import Tensor

    from ..imaging.picture import VoxelSize

__all__ = ["psfs"]

psfs = typer.Typer(
    no_args_is_help=True, help="Make a psf of a formula or of beads, look at it, resample, centre, crop."
)

_OUTPUT = Annotated[
    Path, Option("--output", "-o", metavar="OUT", help="The psf: .tif, .npy, .fits, .mrc; .png for two axes.")
]
_INPUT = Annotated[Path, Argument(metavar="IN", help="The psf: a picture, a stack, .npy or .mat.")]
_OVERWRITE = Annotated[bool, Option("--overwrite", help="Write over the input, and over an existing file, too.")]
_SPEC = "A text such as motion:15,30, gaussian:2 or moffat:3.2,beta=3."
_ORDER = "Slices by their focus: sample, from the coverslip on, or stage, to the coverslip."
_SIZE = "Slices by rows by columns, 31x63x63; rows by columns, 31x31."

# Lengths as people write them, in micrometres.
_UNITS = {"": 1.0, "um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3}


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
    output: _OUTPUT,
    overwrite: _OVERWRITE = False,
) -> None:
    """Make a psf of two axes by a formula.

    \b
    Example:
      deconv psf make moffat:3.2,beta=3 -o star.fits
    """
    from ..imaging import psf

    _write(output, psf.parse(spec), spec, None, (), overwrite)


@psfs.command("gibson-lanni", cls=LateHelp)
def gibson_lanni(
    output: _OUTPUT,
    size: Annotated[str, Option(metavar="DxHxW", help=_SIZE)],
    na: Annotated[float, Option("--na", metavar="NUMBER", help="Numerical aperture.")],
    wavelength: Annotated[str, Option(metavar="LENGTH", help="Of the light, 520nm or 0.52um.")],
    pixel: Annotated[str, Option(metavar="LENGTH", help="Size of a pixel in the sample, 100nm.")],
    step: Annotated[str, Option(metavar="LENGTH", help="From one slice to the next, 250nm.")],
    depth: Annotated[str, Option(metavar="LENGTH", help="Of the light below the coverslip.")] = "0um",
    n_sample: Annotated[float, Option(metavar="NUMBER", help="Refractive index of the sample.")] = 1.33,
    n_immersion: Annotated[float, Option(metavar="NUMBER", help="Refractive index of the immersion medium.")] = 1.515,
    z: Annotated[str, Option(metavar="NAME", help=_ORDER)] = "stage",
    overwrite: _OVERWRITE = False,
) -> None:
    """Make the psf of a widefield microscope.

    \b
    Example:
      deconv psf gibson-lanni --na 1.4 --wavelength 520nm --pixel 100nm --step 250nm --size 31x63x63 -o psf.tif
    """
    from ..choices import check_choice
    from ..imaging import psf
    from ..imaging.picture import VoxelSize

    check_choice("--z", z, ("stage", "sample"))
    x, dz = _length("--pixel", pixel), _length("--step", step)
    h = psf.gibson_lanni(
        cast("tuple[int, int, int]", _sides(size, 3)),
        wavelength=_length("--wavelength", wavelength),
        aperture=na,
        pixel=x,
        step=dz,
        depth=_length("--depth", depth),
        n_sample=n_sample,
        n_immersion=n_immersion,
        n_immersion_design=n_immersion,
        z=cast('Literal["stage", "sample"]', z),
    )
    _write(output, h, "Gibson and Lanni", VoxelSize(dz, (1 / x, 1 / x), "um"), (), overwrite)


@psfs.command("beads", cls=LateHelp)
def beads(
    source: Annotated[Path, Argument(metavar="IN", help="A stack of beads, or a picture of beads or stars.")],
    output: _OUTPUT,
    size: Annotated[str | None, Option(metavar="DxHxW", help=f"{_SIZE} By default 15 slices of 31 x 31.")] = None,
    channel: Annotated[int | None, Option(metavar="N", help="Which channel of the stack, from 0 on.")] = None,
    overwrite: _OVERWRITE = False,
) -> None:
    """Distil a psf from beads: isolated ones are registered to a part of a pixel, and averaged.

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
    h, report = psf.from_beads(values, usual if size is None else _sides(size, values.ndim))
    _write(output, h, f"{source}: {report}", volume.voxel, (source,), overwrite)


@psfs.command("resample", cls=LateHelp)
def resample(
    source: _INPUT,
    output: _OUTPUT,
    by: Annotated[str, Option(metavar="N|NxNxN", help="New distance of samples over the old one: 2 or 2x1x1.")],
    overwrite: _OVERWRITE = False,
) -> None:
    """Bring a psf to another spacing.

    \b
    Example:
      deconv psf resample fine.tif -o coarse.tif --by 2x1x1
    """
    from dataclasses import replace

    from ..imaging import psf

    h, voxel, words = _read(source)
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
    _write(output, coarse, words, voxel, (source,), overwrite)


@psfs.command("centre", cls=LateHelp)
def centre(source: _INPUT, output: _OUTPUT, overwrite: _OVERWRITE = False) -> None:
    """Bring a psf's centroid to its centre, to a part of a pixel."""
    from ..imaging import psf

    h, voxel, words = _read(source)
    _write(output, psf.centre(h), words, voxel, (source,), overwrite)


@psfs.command("crop", cls=LateHelp)
def crop(
    source: _INPUT,
    output: _OUTPUT,
    size: Annotated[str, Option(metavar="DxHxW", help=_SIZE)],
    overwrite: _OVERWRITE = False,
) -> None:
    """Cut a psf about its centre to a smaller odd size, and say what light that loses."""
    h, voxel, words = _read(source)
    sides = _sides(size, h.ndim)
    if any(n % 2 == 0 or n > m for n, m in zip(sides, h.shape, strict=True)):
        raise ValueError(f"--size: expected odd numbers up to {' x '.join(map(str, h.shape))}, given {size}")
    inside = tuple(slice((m - 1) // 2 - n // 2, (m - 1) // 2 + n // 2 + 1) for n, m in zip(sides, h.shape, strict=True))
    kept = float(h[inside].sum())
    _write(
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
    h, voxel, words = _read(source)
    _say(source, words, h, voxel)


def _read(path: Path) -> tuple[Tensor, VoxelSize | None, str]:
    from ..imaging.psf.stored import read_psfs

    found, voxel = read_psfs(path)
    if len(found) > 1:
        raise ValueError(f"{path}: it holds {len(found)} psfs, one for each channel; expected one")
    return found[0][0], voxel, str(found[0][1]).partition(", ")[2]  # the size is told anyway


def _write(path: Path, h: Tensor, words: str, voxel: VoxelSize | None, read: tuple[Path, ...], overwrite: bool) -> None:
    from ..imaging.files import check_writable

    check_writable(path, volume=h.ndim > 2)
    check_outputs({"--output": path}, read, psf="--output", overwrite=overwrite)
    write_psf(path, h, voxel)
    _say(path, words, h, voxel)


def _say(path: Path, words: str, h: Tensor, voxel: VoxelSize | None) -> None:
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


def _sides(text: str, count: int) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if len(parts) == 1 and parts[0].isdigit():
        parts = parts * count
    if len(parts) != count or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--size: expected {count} whole numbers like {'x'.join(['31'] * count)}, given {text!r}")
    return tuple(map(int, parts))


def _length(flag: str, text: str) -> float:
    """A length in micrometres."""
    match = re.fullmatch(r"([0-9.eE+-]+?)\s*([a-zµμ]*)", text.strip())
    try:
        return float(match[1]) * _UNITS[match[2]] if match else float("nan")
    except (ValueError, KeyError):
        raise ValueError(f"{flag}: expected a length like 520nm or 0.52um, given {text!r}") from None
