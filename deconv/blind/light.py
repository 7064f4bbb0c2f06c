r"""Whether a picture was blurred in linear light, as by a lens, or on its grey values, as by a program.

With the right psf in the right light, the latent image has few edges and its blur is what was observed; in the other
light every edge rings, and something is left unexplained. So the picture is restored in both, and with the total
variation T of the latent image and the residual r of its blur, both in grey values, the light of the greater
:math:`T r` is wrong.

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

__all__ = ["excess_in_light", "made_in_light"]

# Where T r is greater in light by less than this, as a logarithm, the picture counts as blurred in light. Photographs
# under three kinds of blur have at most 0.0 where they were blurred in light, 0.24 to 2 where not.
_UNDECIDED = 0.12

# How much more for each part of the contrast that the noise is beyond this one, if it is a camera's. Of 40 photographs
# blurred in light, 12 % count as blurred in grey values with 2 % noise, without this 25 %; with 4 % noise 7 and 42 %.
_PRIOR, _NOISELESS = 5.0, 0.04

# Pixels on each side of the piece that is looked at, iterations of its restoration, and the least noise it is told, in
# parts of the contrast.
_SIDE, _ITERATIONS, _NOISE = 320, 15, 0.02


def made_in_light(
    image: Tensor | Sequence[Tensor],
    psf: Tensor | Sequence[Tensor],
    *,
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
        found = [excess_in_light(*each) for each in zip(frames, psfs, masks, strict=True)]
    excess, noise = (fmean(values) for values in zip(*found, strict=True))
    return excess < _UNDECIDED + (_PRIOR * max(noise - _NOISELESS, 0) if camera else 0)


def excess_in_light(image: Tensor, psf: Tensor, mask: Tensor | None = None) -> tuple[float, float]:
    """Logarithm of the product of total variation and residual in light, over that in grey values; and the noise.

    Parameters
    ----------
    image, psf, mask : Tensor
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
    rows, columns = _most_detailed(grey, tuple(psf.shape))
    grey, known = grey[..., rows, columns], known[..., rows, columns]
    *light, _ = _edges_and_residual(grey, psf.to(grey), known, linear=True)
    *plain, noise = _edges_and_residual(grey, psf.to(grey), known, linear=False)
    return sum(math.log(a / b) for a, b in zip(light, plain, strict=True) if min(a, b) > 0), noise


def _edges_and_residual(grey: Tensor, psf: Tensor, known: Tensor, *, linear: bool) -> tuple[float, float, float]:
    """Of the picture restored in one light, in grey values: its total variation, and what it leaves unexplained; and in
    that light the noise, in parts of the contrast."""
    values = to_linear(grey) if linear else grey
    contrast = float(values.std(correction=0))
    measured = float(estimate_noise(values, mask=known))
    noise = max(_NOISE * contrast, measured)
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
    residual = _mean((blurred.clamp(0, 1) - inside).square(), counted) ** 0.5
    return edges, residual, measured / contrast if contrast > 0 else 0.0


def _mean(values: Tensor, known: Tensor) -> float:
    """Of the values where they are known; 0 where that is nowhere."""
    return float((values * known).sum() / known.sum().clamp_min(1))


def _most_detailed(grey: Tensor, size: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the piece of `(1, 1, H, W)` with the most contrast, of a few psfs' size at least."""
    side = [min(n, max(_SIDE, 4 * s)) for n, s in zip(grey.shape[2:], size, strict=True)]
    starts = [sorted({(n - m) * i // 4 for i in range(5)}) for n, m in zip(grey.shape[2:], side, strict=True)]
    places = [(slice(y, y + side[0]), slice(x, x + side[1])) for y in starts[0] for x in starts[1]]
    contrasts = [grey[..., rows, columns].std(correction=0) for rows, columns in places]
    return places[int(torch.stack(contrasts).argmax())]
