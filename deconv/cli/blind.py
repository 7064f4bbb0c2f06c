"""A blur that nobody knows: how to look for it in the picture, and what to say of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import typer

from .blurs import Blur
from .noise import coded, overall, sigma_in_light
from .noise import estimate as noise_levels
from .source import Source
from .values import window

if TYPE_CHECKING:
    from torch import Tensor

    from ..blind import BlurField, KernelEstimate
    from ..blind.api import Model
    from ..blind.picture_frame import PictureFrame

__all__ = ["Search", "estimate_blur", "find_blur"]

# How much of a coder's error counts where a psf is looked for: it is mostly at high frequencies, where no blur is seen.
# Chosen on eight photographs after JPEG of quality 75 to 95: 0.2 dB above both 1 and the usual error of such files.
_CODER = 0.6


@dataclass(frozen=True, kw_only=True)
class Search:
    """How to look for a psf.

    Attributes
    ----------
    kernel_size, model, starts, prior
        As the options of the commands.
    sigma : float or None
        Standard deviation of the noise of the picture's values; None: estimated.
    linear : bool or None
        In linear light, or in the values; None: as they explain the picture better.
    quiet : bool
        Show no progress.
    field : "auto", tuple of int or None
        As ``--field``; None: one psf for all of the frame.
    """

    kernel_size: str | None = None
    model: str = "auto"
    starts: int = 16
    prior: str | None = None
    sigma: float | None = None
    linear: bool | None = None
    quiet: bool = False
    field: Literal["auto"] | tuple[int, int] | None = None


def estimate_blur(photograph: Source, search: Search) -> tuple[Blur, float | None, bool]:
    """The psf of a picture, or its psfs, the confidence, and whether it is one of light. The confidence is None where
    the psf is that of no blur; why that is so is said on standard error."""
    from ..blind.description import describe
    from .streak import advised_streak

    found, light = find_blur(photograph, search)
    for warning in (*found.warnings, *found.cautions):
        typer.echo(f"deconv: {warning}", err=True)
    if (place := advised_streak(photograph, found.psf if found.found else None)) is not None:
        typer.echo(f"deconv: its lights show another blur; to try: --psf-from {place}", err=True)
    size = " x ".join(map(str, found.psf.shape))
    frame, around = (found.frame, f"; {found.frame.words}") if found.frame else (None, "")
    if not found.found:
        return Blur(found.psf, f"of no blur ({size})"), None, light
    words = f"estimated ({size})"
    if search.field is None:
        return Blur(found.psf, f"{words}, {describe(found.psf).words}{around}", frame=frame), found.confidence, light
    varying = _varying(photograph, search, found, light=light)
    if not varying.varies:
        return Blur(found.psf, f"{words}, {varying.words}{around}", frame=frame), found.confidence, light
    words = f"estimated ({' x '.join(map(str, varying.psfs.shape[2:]))}), {varying.words}{around}"
    return Blur(found.psf, words, field=varying.psfs, frame=frame), found.confidence, light


def _varying(photograph: Source, search: Search, found: KernelEstimate, *, light: bool) -> BlurField:
    """What `deconv.blind` finds beside the one psf, in the light in which that was found."""
    from ..blind import BlurField, NoBlurFound, estimate_field, estimate_varying
    from ..imaging.srgb import to_linear

    batch = found.frame.inside(to_linear(photograph.batch) if light else photograph.batch)
    noise, progress = _noise(photograph, search, light=light), False if search.quiet else None
    if search.field == "auto":
        return estimate_varying(batch, estimated=found, sigma=noise, progress=progress)
    assert search.field is not None
    size = None if search.kernel_size is None else window(search.kernel_size, "--kernel-size")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", NoBlurFound)
        psfs = estimate_field(batch, search.field, size, starts=min(search.starts, 4), sigma=noise, progress=progress)
    for warning in said:
        typer.echo(f"deconv: {warning.message}", err=True)
    return BlurField(psfs, found)


def _noise(photograph: Source, search: Search, *, light: bool) -> float | None:
    """The noise that a search is told; None for what it estimates itself."""
    if search.sigma is not None:
        return sigma_in_light(photograph, search.sigma) if light else search.sigma
    if coded(photograph):
        # A coder's errors are no white noise, and not what a psf is to be blamed for.
        return overall(noise_levels(photograph, linear=light, coder=_CODER))
    return None


def find_blur(photograph: Source, search: Search) -> tuple[KernelEstimate, bool]:
    """What `deconv.blind.estimate` finds, and whether in linear light.

    A photograph is looked at in linear light, and unless a psf that is beyond doubt surely explains it there, or where
    nothing is found in light, whose noise is uneven, once more in its grey values. Of what is found in both the better
    one is taken; what is found in grey values alone may explain the picture by light all the same.
    """
    from ..blind import estimate
    from ..blind.light import made_in_light, surely_in_light
    from ..imaging.srgb import to_linear

    progress = False if search.quiet else None

    def found_in(light: bool) -> KernelEstimate:
        return estimate(
            to_linear(photograph.batch) if light else photograph.batch,
            None if search.kernel_size is None else window(search.kernel_size, "--kernel-size"),
            starts=search.starts,
            prior=search.prior,
            model=cast("Model", search.model),
            sigma=_noise(photograph, search, light=light),
            progress=progress,
        )

    camera = photograph.camera

    def within(frame: PictureFrame) -> tuple[Tensor, Tensor | None]:
        known = photograph.known
        return frame.inside(photograph.batch), None if known is None else frame.inside(known)

    def surely_of_light(found: KernelEstimate) -> bool:
        values, known = within(found.frame)
        return surely_in_light(values, found.psf, mask=known, camera=camera, progress=progress)

    def of_light(found: KernelEstimate, in_grey: Tensor | None = None) -> bool:
        values, known = within(found.frame)
        return made_in_light(values, found.psf, grey_psf=in_grey, mask=[known], camera=camera, progress=progress)

    light = photograph.photograph if search.linear is None else search.linear
    found = found_in(light)
    if search.linear is not None or not light:
        return found, light
    if found.found and not found.cautions and surely_of_light(found):
        return found, True
    if not search.quiet:
        why = "these may explain it better" if found.found else "nothing is found in linear light"
        typer.echo(f"deconv: looking once more, in grey values: {why}", err=True)
    again = found_in(False)
    if not found.found:
        return again, again.found and of_light(again)
    if again.found and not of_light(found, again.psf):
        return again, False
    return found, True
