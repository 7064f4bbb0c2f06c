"""Training `deconv.restore.unrolled`: crops of photographs under random blur and noise."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..imaging import psf as psfs
from ..imaging.convolution import convolve
from ..ops.lasting import lasting
from ..restore.problem import Problem
from ..restore.statistics import Statistics
from ..restore.unrolled import UnrolledDeconvolution
from .data import Batch
from .objective import Objective

__all__ = ["RESTORATION", "build_unrolled", "random_psf"]

# Side of the window of the psfs, and how many of them there are, each in eight orientations.
_WINDOW, _PSFS = 33, 4096

# Standard deviations of the noise for images in [0, 1], and how well it is estimated: to so many parts, as is the
# contrast that a crop's photograph has.
_LEAST_NOISE, _LARGEST_NOISE, _NOISE_ERROR = 0.002, 0.05, 0.1
_CONTRAST, _CONTRAST_SPREAD = 0.22, 0.3

# Fewer than `deconv.restore.network` has by default, for speed.
_ITERATIONS = 11

# Of the squared error: below that, no crop counts for more.
_FLOOR = 1e-5


def build_unrolled(*, image_shape: object = None, **config: Any) -> UnrolledDeconvolution:
    """An untrained network, for crops of any `image_shape`."""
    return UnrolledDeconvolution(**config)


# How often each kind is drawn, and one of it, from a source of randomness.
_KINDS: dict[str, tuple[float, Callable[[random.Random], Tensor]]] = {
    "camera_shake": (0.5, lambda r: psfs.camera_shake(2 * r.randint(3, 16) + 1, seed=r.randrange(2**31))),
    "polyline_shake": (
        0.15,
        lambda r: psfs.polyline_shake(2 * r.randint(3, 16) + 1, corners=r.randint(1, 5), seed=r.randrange(2**31)),
    ),
    "motion": (0.1, lambda r: psfs.motion(r.uniform(2, 30), r.uniform(0, 180))),
    "disk": (0.1, lambda r: psfs.disk(math.exp(r.uniform(0, math.log(9))))),
    "gaussian": (0.1, lambda r: psfs.gaussian(math.exp(r.uniform(math.log(0.4), math.log(3.5))), _WINDOW)),
    "airy": (0.05, lambda r: psfs.airy(math.exp(r.uniform(0, math.log(5))), _WINDOW)),
}


@functools.lru_cache(maxsize=_PSFS)
@lasting
def random_psf(number: int) -> Tensor:
    """A psf of a random kind and size, the same for the same number, `(33, 33)`, of sum 1."""
    source = random.Random(number)
    names, rows = list(_KINDS), list(_KINDS.values())
    (name,) = source.choices(names, [share for share, _ in rows])
    psf = _KINDS[name][1](source)
    margins = [(_WINDOW - n) // 2 for n in psf.shape]
    return pad(psf, (margins[1], margins[1], margins[0], margins[0]))


def _random_problem(clean: Tensor, generator: torch.Generator) -> Problem:
    """An observation of each image in [0, 1], `(B, 1, H, W)`: what a psf of 33 x 33 leaves of it."""

    def uniform() -> Tensor:
        return torch.rand(len(clean), generator=generator, device=generator.device).to(clean)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, device=generator.device).to(clean)

    numbers = torch.randint(8 * _PSFS, (len(clean),), generator=generator, device=generator.device).tolist()
    psf = torch.stack([_oriented(random_psf(n // 8), n % 8) for n in numbers]).unsqueeze(1).to(clean)
    place = (torch.arange(len(clean)).to(clean) + uniform()) / len(clean)
    sigma = _LEAST_NOISE * (_LARGEST_NOISE / _LEAST_NOISE) ** place.view(-1, 1, 1, 1)
    blurred = convolve(clean, psf)
    image = blurred + sigma * normal(blurred)
    estimated = sigma * torch.exp(_NOISE_ERROR * normal(sigma))
    contrast = _CONTRAST * torch.exp(_CONTRAST_SPREAD * normal(sigma))
    statistics = replace(Statistics.of(image, estimated.flatten()), contrast=contrast, typical_contrast=contrast)
    return Problem.of(image, psf, num_iter=_ITERATIONS, statistics=statistics)


def _oriented(psf: Tensor, symmetry: int) -> Tensor:
    """One of the eight symmetries of the square, applied."""
    turned = psf.rot90(symmetry % 4, (-2, -1))
    return turned.mT if symmetry >= 4 else turned


def _decibels(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """The squared error of each restored image, in decibels: minus its peak signal-to-noise ratio."""
    if not isinstance(model, UnrolledDeconvolution):
        raise TypeError(f"model: expected an UnrolledDeconvolution, given {type(model).__name__}")
    clean = batch.images.to(next(model.parameters())) / 255
    problem = _random_problem(clean, generator)
    edge = _WINDOW // 2
    restored = problem.domain.crop(model(problem)) * problem.unit
    error = (restored - clean[..., edge:-edge, edge:-edge]).square().flatten(1).mean(1)
    return 10 * (error + _FLOOR).log10()


RESTORATION = Objective("dB error", _decibels)
