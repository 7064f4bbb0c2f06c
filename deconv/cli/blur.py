"""``deconv blur``: blur a picture and add noise, to try things out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from ..imaging.formats import listing
from .batch import for_many
from .blurs import read_blur
from .inputs import MAX_PIXELS, WHITE, fraction, read_source
from .outcome import Outcome
from .outputs import OVERWRITE, check_outputs
from .summary_line import summary_line

__all__ = ["blur", "blur_file"]

_PSF = "The blur: a text such as shake:31,seed=7, motion:15,30 or gaussian:2.0, or a file (image, .npy, .mat)."
_BOUNDARY = (
    "What lies outside the frame: valid keeps the part that needs no outside; circular, reflect, replicate and zero "
    "keep the size."
)


def blur_file(
    source: Annotated[
        Path, Argument(metavar="IN...", help=f"The sharp picture: {listing()}; - for standard input. Or several.")
    ],
    output: Annotated[
        Path,
        Option(
            "--output",
            "-o",
            metavar="OUT|DIR",
            help="The blurred picture, - for standard output; a folder for several.",
        ),
    ],
    psf: Annotated[str, Option("--psf", "-p", metavar="FILE|SPEC", help=_PSF)],
    noise: Annotated[str, Option(metavar="NUMBER", help="White noise as a share of full scale.")] = "0",
    photons: Annotated[
        float | None, Option(metavar="N", help="Poisson noise: photons that a white pixel counts.")
    ] = None,
    boundary: Annotated[str, Option(metavar="NAME", help=_BOUNDARY)] = "valid",
    linear: Annotated[
        bool, Option("--linear", help="Blur linear light, as a lens does, and not the values in the file.")
    ] = False,
    seed: Annotated[int | None, Option(metavar="N", help="Makes the noise reproducible.")] = None,
    recentre: Annotated[bool, Option("--recentre", help="Centre a psf from a file on its centroid.")] = False,
    white: Annotated[float | None, Option(metavar="NUMBER", help=WHITE)] = None,
    bits: Annotated[int | None, Option(metavar="N", help="Depth of the output; the input's by default.")] = None,
    overwrite: Annotated[bool, Option("--overwrite", help=OVERWRITE)] = False,
    max_pixels: Annotated[int | None, Option(metavar="N", help=MAX_PIXELS)] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="No closing line.")] = False,
) -> Outcome:
    """Blur pictures and add noise.

    \b
    Example:
      deconv blur sharp.png -o blurred.png --psf shake:31,seed=7 --noise 1% --seed 0
    """
    from ..imaging import degrade
    from ..imaging.srgb import to_linear, to_srgb

    sigma = fraction(noise, "--noise")
    given = read_blur(psf, recentre=recentre)
    sharp = read_source(source, given, white=white, max_pixels=max_pixels)
    sharp.check_target(output, bits=bits)
    check_outputs({"--output": output}, (source, psf), overwrite=overwrite)
    started = time.perf_counter()
    light = to_linear(sharp.batch) if linear else sharp.batch
    blurred = degrade(light, given.psf, noise=sigma, photons=photons, boundary=boundary, seed=seed)
    blurred = to_srgb(blurred) if linear else blurred
    seconds = time.perf_counter() - started
    lost = sharp.write(output, blurred, bits=bits)
    said = ["linear light"] if linear else []
    done = [f"psf {given.words}", f"noise {sigma:.2%}", *said, boundary, *lost]
    return Outcome("blurred", summary_line(sharp, output, blurred, done, seconds), given.size, None, seconds)


def _check(*, psf: str, noise: str, recentre: bool, **others: Any) -> None:
    fraction(noise, "--noise")
    read_blur(psf, recentre=recentre)


blur = for_many(blur_file, check=_check)
