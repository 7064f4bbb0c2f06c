"""The noise of a picture from a file, which may have been through lossy compression."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .source import Source

__all__ = [
    "NOT_WHITE",
    "PSF_ERROR",
    "estimate",
    "in_words",
    "overall",
    "sigma_in_light",
    "with_colour",
    "with_error_of",
    "with_inexact_psf",
]

# Why noise counts as more than it is.
NOT_WHITE, PSF_ERROR = "as it is not white", "with the psf's error"

# Of so many pixels the light is looked at.
_PIXELS = 1 << 20

# What counts as the same as the error of the coder.
_NO_MORE = 1.001

# How much of the error of few levels counts: it is weak where levels are wide. Photographs of 3 and 4 bits are restored
# best with 0.7 to 1.4 of it, pages with 0.4 to 0.7; of 1 and 2 bits all with more.
_ROUNDING = 0.8


def estimate(source: Source, *, linear: bool, coder: float = 1.0) -> Tensor:
    """Standard deviation of the noise of each channel, `(1, C)`.

    The coder of a lossy picture takes noise away where it is weak, and adds an error of its own: its noise is not
    white, and not below that error. A restoration that was told less would amplify the coder's traces. So it is with
    pictures of few levels, as 4 bits have.

    Parameters
    ----------
    source : Source
        A picture, or a volume, which is judged slice by slice.
    linear : bool
        Of the linear light in place of the values of the file.
    coder : float
        How much of the coder's error counts.
    """
    from ..imaging import estimate_noise
    from ..imaging.srgb import to_linear

    batch = to_linear(source.batch) if linear else source.batch
    loss = () if source.picture is None else source.picture.loss
    slices = batch.flatten(0, -3)[:, None]
    known = None if source.known is None else source.known.flatten(0, -3)[:, None]
    sigma = estimate_noise(slices, white=not loss, mask=known).view(*batch.shape[:2], -1).square().mean(-1).sqrt()
    return sigma.maximum(coder * _of_coder(source, linear=linear))


def with_error_of(psf: Tensor, source: Source, sigma: Tensor, *, linear: bool) -> Tensor:
    """The noise of each channel of a picture, with what its psf gets wrong."""
    from ..imaging.clipping import clipped_ends
    from ..imaging.srgb import to_linear
    from ..restore.psf_error import with_psf_error
    from ..restore.statistics import Statistics

    image = to_linear(source.batch) if linear else source.batch
    clipped = None if source.clipped_at is None else clipped_ends(source.batch, white=source.clipped_at)
    found = with_psf_error(Statistics.of(image, sigma), image, psf.to(image), mask=source.known, clipped=clipped)
    return found.sigma.flatten(1)


def with_colour(psf: Tensor, source: Source, sigma: Tensor, *, linear: bool) -> Tensor:
    """The noise of each channel of a picture, and more where it is not white, as where it was denoised.

    That of lossy files is as `estimate` says: a coder leaves its own error, which is neither white nor even.
    """
    from ..restore.coloured_noise import with_coloured_noise

    if source.picture is not None and source.picture.loss:
        return sigma
    batch, white = source.batch, source.clipped_at
    return with_coloured_noise(sigma, batch, psf.to(batch), linear=linear, white=white, mask=source.known)


def with_inexact_psf(source: Source, sigma: Tensor, *, linear: bool) -> Tensor:
    """The noise of each channel, and no less than what an estimated psf leaves unexplained."""
    from ..blind.observation import effective_noise
    from ..imaging.srgb import to_linear

    return sigma.maximum(effective_noise(to_linear(source.batch) if linear else source.batch))


def overall(sigma: Tensor) -> float:
    """One standard deviation for all channels, their root mean square."""
    return float(sigma.square().mean().sqrt())


def in_words(
    source: Source,
    sigma: float,
    *,
    linear: bool,
    estimated: bool = True,
    effective: float = 0.0,
    reason: str = PSF_ERROR,
) -> str:
    """The noise for the summary line: a share of white, or in a file of floats whose white is not known, its unit; and
    what it counts as for a reason, if that is more."""
    words = _of_picture(source, sigma, linear=linear) if estimated else f"noise {_amount(source, sigma)}"
    return f"{words}, {_amount(source, effective)} {reason}" if effective > _NO_MORE * sigma else words


def _amount(source: Source, sigma: float) -> str:
    peak = float(source.batch.max())
    if source.values.dtype.kind == "f" and source.white == 1 and peak > 1:
        return f"{sigma:.4g} where the values go up to {peak:.4g}"
    return f"{sigma:.2%}"


def _of_picture(source: Source, sigma: float, *, linear: bool) -> str:
    """Of what was estimated, and whether it is the coder's."""
    amount = _amount(source, sigma)
    coder = _coder(source)[1]
    if not coder or sigma > _NO_MORE * overall(_of_coder(source, linear=linear)):
        return f"noise {amount} (estimated)"
    return f"noise {amount} (the error of {coder}, which hides the camera's)"


def sigma_in_light(source: Source, sigma: float) -> float:
    """A standard deviation of the values of an sRGB file as one of its light, in the root mean square over pixels."""
    return sigma * overall(_slope_of_light(source))


def _slope_of_light(source: Source) -> Tensor:
    """How much more an error is in light than in the values of the file, `(1, C)`, in the root mean square of pixels
    that are evenly spread."""
    from ..imaging.srgb import to_linear

    space = source.batch.shape[2:]
    every = max(1, round((math.prod(space) / _PIXELS) ** (1 / len(space))))
    values = source.batch[(..., *[slice(None, None, every)] * len(space))].flatten(2)
    step = 1e-3
    slope = (to_linear(values + step) - to_linear(values - step)) / (2 * step)
    return slope.square().mean(2).sqrt()


def _of_coder(source: Source, *, linear: bool) -> Tensor:
    """Root mean square error of a lossy coder or of few levels, `(1, C)` or `(1, 1)`."""
    loss = source.batch.new_tensor([_coder(source)[0] or (0.0,)])
    return loss * _slope_of_light(source) if linear and loss.any() else loss


def coded(source: Source) -> bool:
    """Whether what has stored the picture has left an error of its own."""
    return any(_coder(source)[0])


def _coder(source: Source) -> tuple[tuple[float, ...], str]:
    """Root mean square error of each channel that storing the picture has left, and what has left it."""
    import numpy as np

    from ..imaging.rounding import rounding_error

    picture = source.picture
    if picture is None or picture.loss or source.values.dtype.kind != "u":
        return ((), "") if picture is None else (picture.loss, picture.coder)
    channels = [source.values] if source.values.ndim == 2 else np.moveaxis(source.values, 2, 0)
    counts, errors = zip(*(rounding_error(channel) for channel in channels), strict=True)
    return tuple(_ROUNDING * error for error in errors), f"its {max(counts)} levels" if any(counts) else ""
