r"""The effective noise level of a photograph that was denoised, sharpened, scaled or developed before it was stored.

What such processing leaves of the noise is neither white nor even: none in flat places and at the highest frequencies,
where noise is estimated, and much beside edges and at middle frequencies, where a restoration amplifies it most.

At frequencies that the psf h hardly passes, what is observed is noise, whatever its spectrum. With the periodogram I of
the observation, H of the psf, and K the spectrum of the window that the frame is seen through, its power there is

.. math:: n = \frac{1}{|Z|} \sum_{\omega \in Z} I(\omega) - g\, K * (|H|^2 S)(\omega), \qquad
    S(\omega) = (|\omega|^2 + \epsilon)^{-1}

over the tenth Z of the frequencies for which :math:`K * (|H|^2 S) / S` is least; g makes the power of the two equal.

White noise has the same power at the highest frequencies as in Z, and, in the values that a file stores, is about as
strong everywhere. Where :math:`\sqrt n`, relative to the noise at the highest frequencies and times the unevenness of
the noise, says otherwise, :math:`\sqrt n` is what methods are told.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.clipping import clipped_ends
from ..imaging.convolution import psf_to_otf
from ..imaging.noise import noise_unevenness
from ..imaging.srgb import to_linear
from .spectra import frequency_counts, hann_smoothed, log_frequency, periodogram

__all__ = ["with_coloured_noise"]

# Sides of the pieces that may be looked at, and how many of each lie along an axis: the first size of which one has no
# more than this share of missing or clipped pixels, whose edges have another spectrum.
_PIECES, _SPOILED = ((256, 3), (128, 7)), 0.005

# The share of the frequencies that count as not passed; and from where on they are the highest, in periods a pixel
# along both axes.
_LEAST_PASSED, _HIGHEST = 0.1, 0.35

# Unevenness times colour: on six photographs of the training part of the Berkeley data set, blurred in light by defocus
# and by motion, with the noise of photons of 2 %, 0.99 to 1.05; after a bilateral filter, a median, non-local means or
# the shrinkage of wavelets 1.24 to 4, and on six with more texture 1.1 to 2.4.
_WHITE = 1.15

# No less is worth telling.
_LEAST_RATIO = 1.1


def with_coloured_noise(
    sigma: Tensor,
    values: Tensor,
    psf: Tensor,
    *,
    linear: bool = False,
    white: float | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Raise the noise level of a photograph where its noise is not white.

    Parameters
    ----------
    sigma : Tensor
        Standard deviation of its noise, broadcasts against `(B, C)`; that of the light if `linear`.
    values : Tensor
        `(B, C, H, W)`, as a file has them, in which the noise of a camera is about even.
    psf : Tensor
        `(kh, kw)`, or behind two axes that broadcast against B and C.
    linear : bool
        The values are sRGB, and the psf has blurred their light.
    white : float, optional
        The value at which they are clipped; by default at none.
    mask : Tensor, optional
        0 where there is no value, like `values`.

    Returns
    -------
    Tensor
        The same or a greater one, `(B, C)`.
    """
    sigma = sigma.expand(values.shape[:2])
    piece = _cleanest_piece(values, 2 * max(psf.shape[-2:]), white, mask)
    if piece is None:
        return sigma
    part = values[piece].detach().double().cpu()
    image = to_linear(part) if linear else part
    told, highest = (power.sqrt().to(sigma) for power in _noise_in_spectrum(image, psf.detach().double().cpu()))
    colour = float(told.square().mean() / highest.square().mean().clamp_min(1e-30)) ** 0.5
    if not noise_unevenness(part) * colour > _WHITE:
        return sigma
    contrast = image.std((2, 3)).to(sigma)
    return torch.where((told > _LEAST_RATIO * sigma) & (told < contrast), told, sigma)


def _cleanest_piece(
    values: Tensor, least_side: int, white: float | None, mask: Tensor | None
) -> tuple[slice, ...] | None:
    """Of pieces evenly spread, those nearest the middle first, the one with the fewest missing or clipped pixels; None
    where all have too many, or are too small."""

    def spoiled(piece: tuple[slice, ...]) -> float:
        part = values[piece]
        bad = torch.zeros_like(part, dtype=torch.bool) if mask is None else mask.expand_as(values)[piece] == 0
        return float((bad if white is None else bad | (clipped_ends(part, white=white) != 0)).any(1).double().mean())

    for longest, count in _PIECES:
        sides = [min(n, longest) for n in values.shape[2:]]
        if min(sides) < least_side:
            return None
        places = []
        for n, side in zip(values.shape[2:], sides, strict=True):
            starts = {round((n - side) * i / (count - 1)) for i in range(count)}
            nearest = sorted(starts, key=lambda start, spare=n - side: abs(2 * start - spare))
            places.append([slice(start, start + side) for start in nearest])
        pieces = [(slice(None), slice(None), rows, columns) for rows in places[0] for columns in places[1]]
        shares = [spoiled(piece) for piece in pieces]
        if min(shares) <= _SPOILED:
            return pieces[shares.index(min(shares))]
    return None


def _noise_in_spectrum(image: Tensor, psf: Tensor) -> tuple[Tensor, Tensor]:
    """The power of the noise at frequencies that the psf does not pass, and at the highest, `(B, C)`."""
    shape = image.shape[2:]
    measured, count = periodogram(image), frequency_counts(shape, image)
    law = torch.exp(-log_frequency(shape, image))
    passed = hann_smoothed(psf_to_otf(psf, shape).abs().square() * law, shape).expand_as(measured)
    share = (passed / law).masked_fill(count == 0, torch.inf)
    limit = share.flatten(2).quantile(_LEAST_PASSED, dim=2)[..., None, None]
    rows = torch.fft.fftfreq(shape[0]).abs().to(count)[:, None]
    columns = torch.fft.rfftfreq(shape[1]).to(count)

    def mean(power: Tensor, places: Tensor) -> Tensor:
        weight = count * places
        return (weight * power).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1)

    everywhere = torch.ones_like(measured)
    gain = mean(measured, everywhere) / mean(passed, everywhere).clamp_min(1e-300)
    beneath = mean(measured - gain[..., None, None] * passed, share <= limit).clamp_min(0)
    highest = mean(measured, ((rows > _HIGHEST) & (columns > _HIGHEST)).expand_as(measured))
    return beneath, highest
