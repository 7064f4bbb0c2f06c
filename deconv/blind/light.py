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
    image: Tensor | Sequence[Tensor], psf: Tensor | Sequence[Tensor], *, progress: bool | None = None
) -> bool:
    """Whether a psf explains a picture by light rather than by grey values; if that makes no difference, by light.

    Parameters
    ----------
    image : Tensor or sequence of Tensor
        sRGB values, `(1, C, H, W)`, white is 1; or several frames, which are in one light.
    psf : Tensor or sequence of Tensor
        `(kh, kw)`; or that of each frame.
    progress : bool, optional
        Show a progress bar. By default if standard error is a terminal.

    Returns
    -------
    bool
    """
    frames = [image] if isinstance(image, Tensor) else image
    psfs = [psf] if isinstance(psf, Tensor) else psf
    with ProgressBar("comparing light and grey values", 1, shown=progress, delay=1.0):
        return fmean(map(excess_in_light, frames, psfs)) < _UNDECIDED


def excess_in_light(image: Tensor, psf: Tensor) -> float:
    """Logarithm of the product of total variation and residual in light, over that in grey values.

    Parameters
    ----------
    image, psf : Tensor
        As for `made_in_light`, of one frame.

    Returns
    -------
    float
        0 where the picture is of one colour.
    """
    grey = _most_detailed(image.detach().float().clamp(0, 1).mean(1, keepdim=True), tuple(psf.shape))
    sizes = [_edges_and_residual(grey, psf.to(grey), linear=linear) for linear in (True, False)]
    return sum(math.log(light / plain) for light, plain in zip(*sizes, strict=True) if min(light, plain) > 0)


def _edges_and_residual(grey: Tensor, psf: Tensor, *, linear: bool) -> tuple[float, float]:
    """Of the picture restored in one light, in grey values: its total variation, and what it leaves unexplained."""
    values = to_linear(grey) if linear else grey
    noise = _NOISE * float(values.std(correction=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RestorationWarning)  # that of the result says the same
        latent = hyper_laplacian(values, psf, sigma=noise, white=1.0, num_iter=_ITERATIONS, progress=False)
    blurred = convolve(latent, psf)
    if linear:
        latent, blurred = to_srgb(latent), to_srgb(blurred)
    edges = sum(float(latent.clamp(0, 1).diff(dim=axis).abs().mean()) for axis in (-2, -1))
    top, left = ((n - m + 1) // 2 for n, m in zip(grey.shape[2:], blurred.shape[2:], strict=True))
    inside = grey[..., top : top + blurred.shape[2], left : left + blurred.shape[3]]
    return edges, float((blurred.clamp(0, 1) - inside).square().mean().sqrt())


def _most_detailed(grey: Tensor, size: tuple[int, ...]) -> Tensor:
    """The piece of `(1, 1, H, W)` with the most contrast, of a few psfs' size at least."""
    side = [min(n, max(_SIDE, 4 * s)) for n, s in zip(grey.shape[2:], size, strict=True)]
    starts = [sorted({(n - m) * i // 4 for i in range(5)}) for n, m in zip(grey.shape[2:], side, strict=True)]
    pieces = [grey[..., y : y + side[0], x : x + side[1]] for y in starts[0] for x in starts[1]]
    return pieces[int(torch.stack([piece.std(correction=0) for piece in pieces]).argmax())]
