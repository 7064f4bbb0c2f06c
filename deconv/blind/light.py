r"""Whether a picture was blurred in linear light, as by a lens, or on its grey values, as by a program.

With the right psf in the right light, the latent image has few edges and its blur is what was observed; in the other
light every edge rings, and something is left unexplained. So the picture is restored in both, and with the total
variation T of the latent image and the residual r of its blur, both in grey values, the light of the greater
:math:`T r` is wrong.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from ..imaging.convolution import convolve
from ..imaging.srgb import to_linear, to_srgb
from ..progress import ProgressBar
from ..restore import RestorationWarning, hyper_laplacian

__all__ = ["excess_in_light", "made_in_light"]

# Where T r is greater in light by less than this, as a logarithm, the picture counts as blurred in light. Photographs
# under three kinds of blur have at most 0.0 where they were blurred in light, 0.24 to 2 where not.
_UNDECIDED = 0.12

# Pixels on each side of the piece that is looked at, iterations of its restoration, and the noise it is told, in parts
# of the contrast.
_SIDE, _ITERATIONS, _NOISE = 320, 15, 0.02


def made_in_light(
    image: Tensor | Sequence[Tensor],
    psf: Tensor | Sequence[Tensor],
    *,
    mask: Sequence[Tensor | None] | None = None,
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
        return fmean(map(excess_in_light, frames, psfs, masks)) < _UNDECIDED


def excess_in_light(image: Tensor, psf: Tensor, mask: Tensor | None = None) -> float:
    """Logarithm of the product of total variation and residual in light, over that in grey values.

    Parameters
    ----------
    image, psf, mask : Tensor
        As for `made_in_light`, of one frame.

    Returns
    -------
    float
        0 where the picture is of one colour.
    """
    grey = image.detach().float().clamp(0, 1).mean(1, keepdim=True)
    known = torch.ones_like(grey) if mask is None else mask.detach().to(grey).amin(1, keepdim=True)
    rows, columns = _most_detailed(grey, tuple(psf.shape))
    grey, known = grey[..., rows, columns], known[..., rows, columns]
    sizes = [_edges_and_residual(grey, psf.to(grey), known, linear=linear) for linear in (True, False)]
    return sum(math.log(light / plain) for light, plain in zip(*sizes, strict=True) if min(light, plain) > 0)


def _edges_and_residual(grey: Tensor, psf: Tensor, known: Tensor, *, linear: bool) -> tuple[float, float]:
    """Of the picture restored in one light, in grey values: its total variation, and what it leaves unexplained."""
    values = to_linear(grey) if linear else grey
    noise = _NOISE * float(values.std(correction=0))
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


def _most_detailed(grey: Tensor, size: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the piece of `(1, 1, H, W)` with the most contrast, of a few psfs' size at least."""
    side = [min(n, max(_SIDE, 4 * s)) for n, s in zip(grey.shape[2:], size, strict=True)]
    starts = [sorted({(n - m) * i // 4 for i in range(5)}) for n, m in zip(grey.shape[2:], side, strict=True)]
    places = [(slice(y, y + side[0]), slice(x, x + side[1])) for y in starts[0] for x in starts[1]]
    contrasts = [grey[..., rows, columns].std(correction=0) for rows, columns in places]
    return places[int(torch.stack(contrasts).argmax())]
