r"""Whether a picture was blurred in linear light, as by a lens, or on its grey values, as by a program.

With the right psf in the right light, the latent image has few edges, its blur is what was observed, and the psf
explains the picture far better than no blur does; in the other light every edge rings, and something is left
unexplained. So the picture is restored in both, and with the total variation T of the latent image and the residual r
of its blur, both in grey values, and the lead L of the psf over no blur by the ranking score of
`deconv.blind.evidence`, the light of the greater :math:`\log T + 2 \log r - 0.4 L` is wrong.

Where each light has a psf of its own, found in it, T and r compare only what one psf makes in both lights, and are
means over both psfs; L is that of each psf in its own light.

The stronger the noise, the less that tells, and the more counts what is known beforehand: a lens blurs light. And the
less there is to win by being right. So where a picture is a camera's, its light is believed to be what was blurred,
against all the more evidence the more noise it has; otherwise the evidence alone decides.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from ..imaging.convolution import convolve
from ..imaging.noise import estimate_noise
from ..imaging.srgb import to_linear, to_srgb
from ..progress import ProgressBar
from ..restore import RestorationWarning, hyper_laplacian
from .evidence import Candidate, Hypothesis
from .observation import Observation, widest_window
from .shapes import find_shapes
from .support import delta

__all__ = ["excess_in_light", "made_in_light", "surely_in_light"]

# The weights of the residual and of the lead beside that of the total variation, and the most that a lead counts for:
# of 78 pages of text and photographs blurred by four kinds of psf, and 76 photographs by three, a fifth of them with
# noise of 2 %, these leave 21 wrong, and the product of total variation and residual alone 28.
_RESIDUAL, _LEAD, _MOST_LEAD = 2.0, 0.4, 1.0

# A picture counts as blurred in light where the excess is less than this. The narrower a blur, the nearer is it to 0
# in both: of 160 photographs under five psfs, none of which had a part in the choice, 20 are wrong; 0.26 would be best
# for the pictures above, with 16 of them wrong, but 32 of these.
_UNDECIDED = 0.18

# And surely so where it is less than this one, unless the grey values' power spectrum shows a shape by so many nats a
# frequency that is none of light: of 31 pictures of grey values with a psf found in light, pages and photographs, the
# least excess is 0.01; of 30 of light, 10 are below. But a page under a disk of 3 pixels has -0.16 with the narrow psf
# found in light, and 0.5 with the disk.
_SURE, _SEEN = -0.1, 0.15

# How much more for each part of the contrast that the noise is beyond this one, if it is a camera's. Of 19 photographs
# blurred in light with 2 % noise, 4 count as blurred in grey values, and 5 without this.
_PRIOR, _NOISELESS = 5.0, 0.04

# Pixels on each side of the piece that is looked at, iterations of its restoration, and the least noise it is told, in
# parts of the contrast.
_SIDE, _ITERATIONS, _NOISE = 320, 15, 0.02


def made_in_light(
    image: Tensor | Sequence[Tensor],
    psf: Tensor | Sequence[Tensor],
    *,
    grey_psf: Tensor | None = None,
    mask: Sequence[Tensor | None] | None = None,
    camera: bool = True,
    progress: bool | None = None,
) -> bool:
    """Whether a psf explains a picture by light rather than by grey values; if that makes no difference, by light.

    Parameters
    ----------
    image : Tensor or sequence of Tensor
        sRGB values, `(1, C, H, W)`, white is 1; or several frames, which are in one light.
    psf : Tensor or sequence of Tensor
        `(kh, kw)`; or that of each frame.
    grey_psf : Tensor, optional
        That of the grey values of every frame, where `psf` is that of light.
    mask : sequence of Tensor or None, optional
        For each frame, like it: 0 where it has no value. None where it has all.
    camera : bool
        They are a camera's, for all that is known: their light is believed to be what was blurred.
    progress : bool, optional
        Show a progress bar. By default if standard error is a terminal.

    Returns
    -------
    bool
    """
    frames = [image] if isinstance(image, Tensor) else image
    psfs = [psf] if isinstance(psf, Tensor) else psf
    masks = [None] * len(frames) if mask is None else mask
    with ProgressBar("comparing light and grey values", 1, shown=progress, delay=1.0):
        found = [excess_in_light(*each, grey_psf) for each in zip(frames, psfs, masks, strict=True)]
    excess, noise = (fmean(values) for values in zip(*found, strict=True))
    return excess < _UNDECIDED + (_belief(noise) if camera else 0.0)


def surely_in_light(
    image: Tensor, psf: Tensor, *, mask: Tensor | None = None, camera: bool = True, progress: bool | None = None
) -> bool:
    """Whether a psf that was found in light explains a picture so well that none need be looked for in grey values.

    A search in light ends with a psf that explains the picture there, also where grey values were blurred. So it has to
    do so by a margin, and the straight motion or defocus that the power spectrum of the grey values shows, if there is
    one, must not be theirs.

    Parameters
    ----------
    image, psf, mask, camera, progress
        As for `made_in_light`, of one frame.

    Returns
    -------
    bool
    """
    with ProgressBar("comparing light and grey values", 2, shown=progress, delay=1.0, last=False) as bar:
        excess, noise = excess_in_light(image, psf, mask)
        belief = _belief(noise) if camera else 0.0
        if excess >= _SURE + belief:
            return False
        bar.update(1)
        grey = Observation.of(image.detach().float().clamp(0, 1))
        height, width = grey.image.shape[2:]
        shapes = find_shapes(grey.image, ("motion", "focus"), widest_window((height, width)))
        gain, shape = max(shapes, key=lambda seen: seen[0])
        return gain < _SEEN or excess_in_light(image, shape.psf(), mask)[0] < _UNDECIDED + belief


def excess_in_light(
    image: Tensor, psf: Tensor, mask: Tensor | None = None, grey_psf: Tensor | None = None
) -> tuple[float, float]:
    r"""By how much :math:`\log T + 2 \log r - 0.4 L` is greater in light than in grey values; and the noise.

    Parameters
    ----------
    image, psf, mask, grey_psf : Tensor
        As for `made_in_light`, of one frame.

    Returns
    -------
    excess : float
        0 where the picture is of one colour.
    noise : float
        Standard deviation of the noise of the grey values, in parts of theirs.
    """
    grey = image.detach().float().clamp(0, 1).mean(1, keepdim=True)
    known = torch.ones_like(grey) if mask is None else mask.detach().to(grey).amin(1, keepdim=True)
    psfs = [psf.to(grey)] if grey_psf is None else [psf.to(grey), grey_psf.to(grey)]
    rows, columns = _most_detailed(grey, [max(sides) for sides in zip(*(each.shape for each in psfs), strict=True)])
    grey, known = grey[..., rows, columns], known[..., rows, columns]
    leads = [_lead(to_linear(grey), psfs[0]), _lead(grey, psfs[-1])]
    excess = _LEAD * max(-_MOST_LEAD, min(leads[1] - leads[0], _MOST_LEAD))
    for each in psfs:
        light, plain = (_edges_and_residual(grey, each, known, linear=linear) for linear in (True, False))
        for weight, a, b in zip((1.0, _RESIDUAL), light, plain, strict=True):
            excess += weight * math.log(a / b) / len(psfs) if min(a, b) > 0 else 0.0
    contrast = float(grey.std(correction=0))
    return excess, float(estimate_noise(grey, mask=known)) / contrast if contrast > 0 else 0.0


def _belief(noise: float) -> float:
    """By how much greater an excess may be of a camera's picture, with noise in parts of the contrast."""
    return _PRIOR * max(noise - _NOISELESS, 0.0)


def _lead(values: Tensor, psf: Tensor) -> float:
    """By how much the ranking score of a psf is better than that of no blur; 0 where the picture is of one colour."""
    piece = Observation.of(values)
    if piece.contrast == 0:
        return 0.0
    found, none = Candidate.all_of(piece, [Hypothesis(each, 0.0, ()) for each in (psf, delta(psf))])
    return none.ranking_score - found.ranking_score


def _edges_and_residual(grey: Tensor, psf: Tensor, known: Tensor, *, linear: bool) -> tuple[float, float]:
    """Of the picture restored in one light, in grey values: its total variation, and what it leaves unexplained."""
    values = to_linear(grey) if linear else grey
    noise = max(_NOISE * float(values.std(correction=0)), float(estimate_noise(values, mask=known)))
    mask = None if bool(known.all()) else known
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RestorationWarning)  # that of the result says the same
        latent = hyper_laplacian(values, psf, sigma=noise, white=1.0, num_iter=_ITERATIONS, progress=False, mask=mask)
    blurred = convolve(latent, psf)
    if linear:
        latent, blurred = to_srgb(latent), to_srgb(blurred)
    size = blurred.shape[2:]
    top, left = ((n - m + 1) // 2 for n, m in zip(grey.shape[2:], size, strict=True))
    inside, counted = (each[..., top : top + size[0], left : left + size[1]] for each in (grey, known))
    edges = 0.0
    for axis in (-2, -1):
        n = known.shape[axis] - 1
        both = known.narrow(axis, 0, n) * known.narrow(axis, 1, n)
        edges += _mean(latent.clamp(0, 1).diff(dim=axis).abs(), both)
    return edges, _mean((blurred.clamp(0, 1) - inside).square(), counted) ** 0.5


def _mean(values: Tensor, known: Tensor) -> float:
    """Of the values where they are known; 0 where that is nowhere."""
    return float((values * known).sum() / known.sum().clamp_min(1))


def _most_detailed(grey: Tensor, size: Sequence[int]) -> tuple[slice, slice]:
    """Rows and columns of the piece of `(1, 1, H, W)` with the most contrast, of a few psfs' size at least."""
    side = [min(n, max(_SIDE, 4 * s)) for n, s in zip(grey.shape[2:], size, strict=True)]
    starts = [sorted({(n - m) * i // 4 for i in range(5)}) for n, m in zip(grey.shape[2:], side, strict=True)]
    places = [(slice(y, y + side[0]), slice(x, x + side[1])) for y in starts[0] for x in starts[1]]
    contrasts = [grey[..., rows, columns].std(correction=0) for rows, columns in places]
    return places[int(torch.stack(contrasts).argmax())]
