"""How strongly to smooth: the noise that a restoration method is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .noise import (
    NOT_WHITE,
    PSF_ERROR,
    estimate,
    in_words,
    overall,
    sigma_in_light,
    with_colour,
    with_error_of,
    with_inexact_psf,
)

if TYPE_CHECKING:
    from torch import Tensor

    from .source import Source

__all__ = ["noise_factor", "noise_to_tell"]

# The automatic weights of the methods go with the noise to the power of 4/3.
_NOISE_POWER = 0.75


def noise_factor(strength: float) -> float:
    """What to tell a method of the noise, over what it is, so that it smooths so many times as much."""
    return strength**_NOISE_POWER


def noise_to_tell(
    source: Source,
    sigma: float | None,
    *,
    linear: bool,
    known: bool,
    strength: float,
    estimated: Tensor | None = None,
    psf: Tensor | None = None,
    psf_error: bool = False,
) -> tuple[Tensor | float, str]:
    """The standard deviation to tell a method so that it smooths `strength` times as much as the noise calls for, and
    the noise in words.

    Parameters
    ----------
    source : Source
        The picture.
    sigma : float or None
        Standard deviation of the noise of its values, if it was given.
    linear : bool
        The restoration is one of linear light.
    known : bool
        The psf was given. What an estimated one leaves unexplained counts as noise.
    strength : float
        As ``--strength``.
    estimated : Tensor, optional
        What `deconv.cli.noise.estimate` says of the picture in this light; by default it is asked.
    psf : Tensor, optional
        The psf, if it is one for all of the picture: by what it does not pass, noise that is not white counts as more.
    psf_error : bool
        Whether what a psf that was given gets wrong counts as noise, too.

    Returns
    -------
    told : Tensor or float
        For the method, one for each channel where it was not given.
    words : str
        The noise of the picture, in this light, for the summary line.
    """
    smoothing = noise_factor(strength)
    if sigma is not None:
        sigma = sigma_in_light(source, sigma) if linear else sigma
        return smoothing * sigma, in_words(source, sigma, linear=linear, estimated=False)
    found = estimate(source, linear=linear) if estimated is None else estimated
    noise = overall(found)
    told, reason = found, NOT_WHITE
    if psf is not None and source.volume is None:
        told = with_colour(psf, source, found, linear=linear)
        if psf_error and known:
            wrong = with_error_of(psf, source, found, linear=linear)
            told, reason = told.maximum(wrong), NOT_WHITE if overall(told) > overall(wrong) else PSF_ERROR
    words = in_words(source, noise, linear=linear, effective=overall(told), reason=reason)
    return smoothing * (told if known else with_inexact_psf(source, told, linear=linear)), words
