"""What measured psfs get wrong, at random."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ..imaging import psf as psfs
from ..imaging.convolution import convolve

__all__ = ["mismeasured"]


def mismeasured(psf: Tensor, source: random.Random) -> Tensor:
    """A psf as somebody may have measured it: blurred a little, noisy, without its tail, or turned a little.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)`, of sum 1.
    source : random.Random
        Of the kind of error and its size.

    Returns
    -------
    Tensor
        Of the same shape, none of it negative, of sum 1.
    """
    wrong = source.choice(_ERRORS)(psf, source).clamp_min(0)
    return wrong / wrong.sum()


def _blurred(psf: Tensor, source: random.Random) -> Tensor:
    small = psfs.gaussian(source.uniform(0.3, 0.8)).to(psf)
    return convolve(psf[None, None], small, boundary="zero")[0, 0]


def _noisy(psf: Tensor, source: random.Random) -> Tensor:
    noise = torch.randn(psf.shape, generator=torch.Generator().manual_seed(source.randrange(2**31)))
    # Where there is light, or next to it: elsewhere noise is easily told from a psf.
    near = convolve((psf > 0).to(psf)[None, None], torch.ones(3, 3).to(psf), boundary="zero")[0, 0] > 0.5
    return psf + source.uniform(0.02, 0.1) * psf.max() * noise.to(psf) * near


def _truncated(psf: Tensor, source: random.Random) -> Tensor:
    return torch.where(psf > source.uniform(0.02, 0.15) * psf.max(), psf, 0)


def _turned(psf: Tensor, source: random.Random) -> Tensor:
    angle = math.radians(source.choice((-1, 1)) * source.uniform(1, 4))
    cosine, sine = math.cos(angle), math.sin(angle)
    rotation = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]]).to(psf)
    grid = affine_grid(rotation[None], [1, 1, *psf.shape], align_corners=False)
    return grid_sample(psf[None, None], grid, align_corners=False)[0, 0]


_ERRORS: tuple[Callable[[Tensor, random.Random], Tensor], ...] = (_blurred, _noisy, _truncated, _turned)
