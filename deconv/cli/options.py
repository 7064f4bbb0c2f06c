"""Options that several commands have: each declared, explained and checked in one place.

A command names those it has in its signature, or in the class of its options: ``white: White = None``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from ..choices import check_choice
from .sections import blur_option, data_option, file_option, general_option, machine_option, restoration_option
from .values import fraction, window

__all__ = [
    "Checkpoint",
    "ClosingQuiet",
    "Device",
    "Grey",
    "Json",
    "KernelSize",
    "LightOrValues",
    "MaxPixels",
    "Memory",
    "Model",
    "Overwrite",
    "Photographs",
    "PriorUnderTest",
    "Quiet",
    "Recentre",
    "Side",
    "Starts",
    "White",
    "checked",
    "noise_option",
    "one_of",
    "pictures_in",
    "pictures_out",
]


def checked(check: Callable[[Any, str], object]) -> Callable[..., Any]:
    """The callback of an option, which refuses a value before any work, as `check(value, flag)` does.

    Not for options that may be given several times: with early versions of Typer these fail where none is given.
    """

    def callback(parameter: typer.CallbackParam, value: Any) -> Any:
        if value is not None and value != parameter.default:  # what is allowed may be slow to import
            check(value, parameter.opts[0])
        return value

    return callback


def one_of(*allowed: str) -> Callable[[Any, str], None]:
    """The check of an option that names one of a few things."""
    return lambda value, flag: check_choice(flag, value, allowed)


def _check_model(text: str, flag: str) -> None:
    from ..blind.api import MODELS

    check_choice(flag, text, MODELS)


# What is read and written.


def pictures_in(what: str) -> Any:
    """One picture, or several, for `deconv.cli.batch.for_many`."""
    return Argument(metavar="IN...", help=what)


def pictures_out(what: str) -> Any:
    """The file for one result, or the folder for several."""
    return file_option("--output", "-o", metavar="OUT|DIR", help=what)


White = Annotated[
    float | None,
    file_option(metavar="NUMBER", help="White in a file of floats, 255 or 4095, say; 1 by default."),
]
MaxPixels = Annotated[
    int | None,
    file_option(metavar="N", help="Refuse larger files; 250 million by default."),
]
Overwrite = Annotated[bool, file_option("--overwrite", help="Replace files that exist; never the input.")]
Recentre = Annotated[
    bool,
    blur_option(
        "--recentre",
        help="Centre a psf from a file on its centroid.\n\nTo a part of a pixel, as deconv psf centre does.",
    ),
]
LightOrValues = Annotated[
    bool | None,
    restoration_option(
        "--linear/--no-linear",
        help="Work on linear light, or on the values in the file.\n\n"
        "A lens blurs light, a program the values. By default photographs are taken for blurred in light unless their "
        "values explain them better.",
    ),
]


def noise_option(what: str) -> Any:
    """The noise, a share of full scale: `deconv.cli.values.fraction` reads it."""
    return restoration_option(metavar="NUMBER", help=what, callback=checked(fraction))


# What a psf is looked for with.

KernelSize = Annotated[
    str | None,
    blur_option(
        "--kernel-size",
        "-k",
        metavar="N|HxW",
        help="Window of the psf, 31 or 31x21; by default it is chosen.\n\n"
        "In pixels: somewhat more than the blur's extent.",
        callback=checked(window),
    ),
]
Model = Annotated[
    str,
    blur_option(
        "--model",
        metavar="NAME",
        help="What to look for: shake, motion, focus or auto.\n\n"
        "shake is any path, motion a straight one, focus a disk; auto any path and, where none is found, motion and "
        "focus.",
        callback=checked(_check_model),
    ),
]
Starts = Annotated[int, blur_option(metavar="N", help="Starts of the search, from 1, the quickest, to 16.")]

# Where and how to compute, and what to say.

Device = Annotated[str, machine_option(metavar="NAME", help="Where to compute: cpu, cuda, auto, ...")]
Memory = Annotated[
    str | None,
    machine_option(
        metavar="SIZE",
        help="Memory to take, 8GiB, say; by default what is free.\n\n"
        "Larger images are restored in tiles. On a GPU its own memory counts.",
    ),
]
Quiet = Annotated[bool, general_option("--quiet", "-q", help="No progress, no closing line.")]
ClosingQuiet = Annotated[bool, general_option("--quiet", "-q", help="No closing line.")]

# Models that were trained, and what they are trained on.

Checkpoint = Annotated[Path, Argument(metavar="CKPT", help="A run's folder, or one of its files.")]
Side = Annotated[int | None, data_option(metavar="N", help="Pixels a side: patches, folder, celeba.")]
Grey = Annotated[bool | None, data_option("--grey/--colour", help="Grey or colour: patches, folder, celeba.")]

# Benchmarks.

Json = Annotated[Path | None, Option(metavar="FILE", help="Also write the figures to this file.")]
Photographs = Annotated[Path, Option(metavar="DIR", help="Photographs, in folders train and val or all together.")]
PriorUnderTest = Annotated[str, Option(metavar="NAME|FILE", help="A prior of the package, or a file.")]
