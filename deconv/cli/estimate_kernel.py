"""``deconv estimate-kernel``: find the psf that has blurred a photograph."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from ..imaging.formats import listing
from .batch import for_many
from .blind import KERNEL_SIZE, MODEL, STARTS, check_psf_target, estimate_blur, kernel_size_of, model_of
from .inputs import MAX_PIXELS, WHITE, fraction, read_source
from .light import LINEAR, asked_light
from .outcome import Outcome
from .outputs import OVERWRITE, check_outputs, write_psf

__all__ = ["estimate_kernel", "estimate_kernel_file"]

_PRIOR = "Refine the psf under a density of photographs: flow, gmm or a file. Slow."


def estimate_kernel_file(
    source: Annotated[
        Path, Argument(metavar="IN...", help=f"The blurred picture: {listing()}; - for standard input. Or several.")
    ],
    output: Annotated[
        Path,
        Option(
            "--output",
            "-o",
            metavar="OUT|DIR",
            help="The psf: a picture, its greatest value white, or .npy; - for standard output; a folder for several.",
        ),
    ],
    kernel_size: Annotated[str | None, Option("--kernel-size", "-k", metavar="N|HxW", help=KERNEL_SIZE)] = None,
    model: Annotated[str, Option("--model", metavar="NAME", help=MODEL)] = "auto",
    starts: Annotated[int, Option(metavar="N", help=STARTS)] = 16,
    prior: Annotated[str | None, Option(metavar="NAME|FILE", help=_PRIOR)] = None,
    sigma: Annotated[str | None, Option(metavar="NUMBER", help="Noise as a share of full scale; estimated.")] = None,
    linear: Annotated[bool | None, Option("--linear/--no-linear", help=LINEAR)] = None,
    white: Annotated[float | None, Option(metavar="NUMBER", help=WHITE)] = None,
    overwrite: Annotated[bool, Option("--overwrite", help=OVERWRITE)] = False,
    max_pixels: Annotated[int | None, Option(metavar="N", help=MAX_PIXELS)] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress, no closing line.")] = False,
) -> Outcome:
    """Estimate the psfs that have blurred photographs.

    Where none is to be trusted, the psf of no blur is written, and one line on standard error says why.

    \b
    Example:
      deconv estimate-kernel blurred.jpg -o psf.png --kernel-size 31
    """
    level = None if sigma is None else fraction(sigma, "--sigma")
    photograph = read_source(source, None, white=white, max_pixels=max_pixels)
    photograph.check_noise(level)
    linear = asked_light(photograph, linear)
    check_psf_target(output)
    check_outputs({"--output": output}, (source, prior), psf="--output", overwrite=overwrite)
    started = time.perf_counter()
    how = {"model": model_of(model), "starts": starts, "prior": prior, "sigma": level, "linear": linear, "quiet": quiet}
    blur, confidence, light = estimate_blur(photograph, kernel_size, **how)
    seconds = time.perf_counter() - started
    write_psf(output, blur.psf)
    said = "linear light" if light else "grey values"
    line = f"{source} -> {output}: psf {blur.words}; {said}; {seconds:.2f} s"
    return Outcome("estimated" if confidence is not None else "no blur found", line, blur.size, confidence, seconds)


def _check(*, kernel_size: str | None, model: str, sigma: str | None, **others: Any) -> None:
    kernel_size_of(kernel_size)
    model_of(model)
    if sigma is not None:
        fraction(sigma, "--sigma")


estimate_kernel = for_many(estimate_kernel_file, check=_check, ending=".png")
