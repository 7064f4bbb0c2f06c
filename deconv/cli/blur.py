"""``deconv blur``: blur a picture and add noise, to try things out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ..imaging.formats import listing
from .batch import for_many
from .blurs import read_blur
from .inputs import read_source
from .options import (
    ClosingQuiet,
    MaxPixels,
    Overwrite,
    Recentre,
    White,
    checked,
    pictures_in,
    pictures_out,
)
from .outcome import Outcome
from .outputs import check_outputs
from .sections import blur_option, file_option
from .summary_line import summary_line
from .values import fraction

__all__ = ["BlurOptions", "blur", "blur_file"]

_PSF = """The blur, a text as listed above, shake:31,seed=7, or a file.

A file is an image, .npy or .mat."""
_NOISE = "White noise as a share of full scale, 0.01 or 1%."
_PHOTONS = "Poisson noise: photons that a white pixel counts."
_BOUNDARY = """What lies outside the frame.

valid keeps the part that needs no outside; circular, reflect, replicate and zero keep the size."""
_LINEAR = "Blur linear light, as a lens does, and not the values in the file."


@dataclass(frozen=True, kw_only=True)
class BlurOptions:
    """What ``deconv blur`` is told."""

    psf: Annotated[str, blur_option("--psf", "-p", metavar="FILE|SPEC", help=_PSF)]
    noise: Annotated[str, blur_option(metavar="NUMBER", help=_NOISE, callback=checked(fraction))] = "0"
    photons: Annotated[float | None, blur_option(metavar="N", help=_PHOTONS)] = None
    boundary: Annotated[str, blur_option(metavar="NAME", help=_BOUNDARY)] = "valid"
    linear: Annotated[bool, blur_option("--linear", help=_LINEAR)] = False
    seed: Annotated[int | None, blur_option(metavar="N", help="Makes the noise reproducible.")] = None
    recentre: Recentre = False
    white: White = None
    bits: Annotated[int | None, file_option(metavar="N", help="Depth of the output; the input's by default.")] = None
    overwrite: Overwrite = False
    max_pixels: MaxPixels = None
    quiet: ClosingQuiet = False

    def check(self, *, many: bool) -> None:
        """Raise what would be wrong with every picture."""
        if many:
            read_blur(self.psf, recentre=self.recentre)


def blur_file(
    source: Annotated[Path, pictures_in(f"The sharp picture: {listing()}; - for standard input. Or several.")],
    output: Annotated[Path, pictures_out("The blurred picture, - for standard output; a folder for several.")],
    options: BlurOptions,
) -> Outcome:
    """Blur pictures and add noise.

    \b
    Example:
      deconv blur sharp.png -o blurred.png --psf shake:31,seed=7 --noise 1%

    \b
    A psf as text, in pixels and degrees; what is in brackets may be left out:
      {deconv.imaging.psf.spec:listing}
    """
    from ..imaging import degrade
    from ..imaging.srgb import to_linear, to_srgb

    noise = fraction(options.noise, "--noise")
    if noise >= 1 and "%" not in options.noise:
        raise ValueError(f"--noise: {noise:g} is {noise:.0%} of full scale; write {noise:g}% for {noise:g} %")
    given = read_blur(options.psf, recentre=options.recentre)
    sharp = read_source(source, given, white=options.white, max_pixels=options.max_pixels)
    sharp.check_target(output, bits=options.bits)
    check_outputs({"--output": output}, (source, options.psf), overwrite=options.overwrite)
    started = time.perf_counter()
    image = to_linear(sharp.batch) if options.linear else sharp.batch
    blurred = degrade(
        image, given.psf, noise=noise, photons=options.photons, boundary=options.boundary, seed=options.seed
    )
    blurred = to_srgb(blurred) if options.linear else blurred
    seconds = time.perf_counter() - started
    lost = sharp.write(output, blurred, bits=options.bits)
    said = ["linear light"] if options.linear else []
    done = [f"psf {given.words}", f"noise {noise:.2%}", *said, options.boundary, *lost]
    return Outcome("blurred", summary_line(sharp, output, blurred, done, seconds), given.size, None, seconds)


blur = for_many(blur_file)
