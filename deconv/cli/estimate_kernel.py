"""``deconv estimate-kernel``: find the psf that has blurred a photograph."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ..imaging.formats import listing
from .batch import for_many
from .blind import Search, estimate_blur
from .inputs import read_source
from .light import asked_light
from .options import (
    KernelSize,
    LightOrValues,
    MaxPixels,
    Model,
    Overwrite,
    Quiet,
    Starts,
    White,
    noise_option,
    pictures_in,
    pictures_out,
)
from .outcome import Outcome
from .outputs import check_outputs, check_psf_target, write_psf
from .sections import blur_option
from .values import fraction

__all__ = ["EstimateKernelOptions", "estimate_kernel", "estimate_kernel_file"]

_OUTPUT = "The psf: a picture, its greatest value white, or .npy; - for standard output; a folder for several."
_SIGMA = "Deviation of the noise, 0.01 or 1% of white; by default it is estimated."
_PRIOR = """Refine the psf under a prior: flow, gmm or a file.

A density of photographs. It is slow."""


@dataclass(frozen=True, kw_only=True)
class EstimateKernelOptions:
    """What ``deconv estimate-kernel`` is told."""

    kernel_size: KernelSize = None
    model: Model = "auto"
    starts: Starts = 16
    prior: Annotated[str | None, blur_option(metavar="NAME|FILE", help=_PRIOR)] = None
    sigma: Annotated[str | None, noise_option(_SIGMA)] = None
    linear: LightOrValues = None
    white: White = None
    overwrite: Overwrite = False
    max_pixels: MaxPixels = None
    quiet: Quiet = False

    def check(self, *, many: bool) -> None:
        """Every option has been checked by itself."""


def estimate_kernel_file(
    source: Annotated[Path, pictures_in(f"The blurred picture: {listing()}; - for standard input. Or several.")],
    output: Annotated[Path, pictures_out(_OUTPUT)],
    options: EstimateKernelOptions,
) -> Outcome:
    """Estimate the psfs that have blurred photographs.

    Where none is to be trusted, the psf of no blur is written, and one line on standard error says why.

    \b
    Example:
      deconv estimate-kernel blurred.jpg -o psf.png --kernel-size 31
    """
    noise = None if options.sigma is None else fraction(options.sigma, "--sigma")
    photograph = read_source(source, None, white=options.white, max_pixels=options.max_pixels)
    photograph.check_noise(noise)
    check_psf_target(output)
    check_outputs({"--output": output}, (source, options.prior), psf="--output", overwrite=options.overwrite)
    started = time.perf_counter()
    search = Search(
        kernel_size=options.kernel_size,
        model=options.model,
        starts=options.starts,
        prior=options.prior,
        sigma=noise,
        linear=asked_light(photograph, options.linear),
        quiet=options.quiet,
    )
    blur, confidence, light = estimate_blur(photograph, search)
    seconds = time.perf_counter() - started
    write_psf(output, blur.psf)
    said = "linear light" if light else "grey values"
    line = f"{source} -> {output}: psf {blur.words}; {said}; {seconds:.2f} s"
    return Outcome("estimated" if confidence is not None else "no blur found", line, blur.size, confidence, seconds)


estimate_kernel = for_many(estimate_kernel_file, ending=".png")
