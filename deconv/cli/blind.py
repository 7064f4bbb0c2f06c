"""A blur that nobody knows: estimated from the picture, and kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from .blurs import Blur
from .inputs import Source
from .noise import estimate as noise_levels
from .noise import in_light, overall
from .values import window

if TYPE_CHECKING:
    from torch import Tensor

    from ..blind import KernelEstimate
    from ..blind.api import Model

__all__ = ["check_psf_target", "estimate_blur", "find_blur", "with_inexact_psf"]


def estimate_blur(
    photograph: Source,
    kernel_size: str | None,
    *,
    starts: int,
    sigma: float | None,
    linear: bool | None,
    quiet: bool,
    prior: str | None = None,
    model: str = "auto",
) -> tuple[Blur, float | None, bool]:
    """The psf of a picture, its confidence, and whether it is one of light. The confidence is None where the psf is
    that of no blur; why that is so is said on standard error."""
    from ..blind.description import describe
    from .streak import advised_streak

    how = {"starts": starts, "sigma": sigma, "linear": linear, "quiet": quiet, "prior": prior, "model": model}
    found, light = find_blur(photograph, kernel_size, **how)
    for warning in (*found.warnings, *found.cautions):
        typer.echo(f"deconv: {warning}", err=True)
    if (place := advised_streak(photograph, found.psf if found.found else None)) is not None:
        typer.echo(f"deconv: its lights show another blur; to try: --psf-from {place}", err=True)
    words = f"estimated ({' x '.join(map(str, found.psf.shape))})"
    if found.found:
        words += f", {describe(found.psf).words}"
    return Blur(found.psf, words), found.confidence if found.found else None, light


def find_blur(
    photograph: Source,
    kernel_size: str | None,
    *,
    starts: int,
    sigma: float | None,
    linear: bool | None,
    quiet: bool,
    prior: str | None = None,
    model: str = "auto",
) -> tuple[KernelEstimate, bool]:
    """What `deconv.blind.estimate` finds, and whether in linear light.

    A photograph is looked at in linear light, and once more in its grey values where these explain it better or where
    nothing is found in light.
    """
    from ..blind import estimate
    from ..blind.light import made_in_light
    from ..imaging.srgb import to_linear

    def found_in(light: bool) -> KernelEstimate:
        noise = sigma
        if noise is not None and light:
            noise = in_light(photograph, noise)
        elif noise is None and photograph.picture is not None and photograph.picture.loss > 0:
            # A coder's errors are no white noise, and not what a psf is to be blamed for.
            noise = overall(noise_levels(photograph, linear=light))
        return estimate(
            to_linear(photograph.batch) if light else photograph.batch,
            None if kernel_size is None else window(kernel_size, "--kernel-size"),
            starts=starts,
            prior=prior,
            model=cast("Model", model),
            sigma=noise,
            progress=False if quiet else None,
        )

    light = photograph.photograph if linear is None else linear
    found = found_in(light)
    if linear is None and light and not (found.found and made_in_light(photograph.batch, found.psf)):
        again = found_in(False)
        if again.found or not found.found:
            found, light = again, False
    return found, light


def with_inexact_psf(photograph: Source, noise: Tensor, *, linear: bool) -> Tensor:
    """The noise of each channel, and no less than what an estimated psf leaves unexplained."""
    from ..blind.observation import effective_noise
    from ..imaging.srgb import to_linear

    return noise.maximum(effective_noise(to_linear(photograph.batch) if linear else photograph.batch))


def check_psf_target(path: Path, *, volume: bool = False) -> None:
    """Raise now what `write_psf` would raise at the end of the work."""
    from ..imaging.files import check_writable

    check_writable(path, volume=volume)
