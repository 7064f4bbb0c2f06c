"""Half-quadratic splitting with a prior of `deconv.prior`: what `epll`, `flow_map` and `flow_posterior` share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..prior import PatchPrior
from .half_quadratic import falling, half_quadratic
from .problem import Problem

__all__ = ["levels", "map_scenes", "prior_step"]

# Standard deviation of the photographs that priors are learnt from, values in [0, 1].
_CONTRAST = 0.235

# The first level, in units of the contrast, and the last one, in units of the noise.
_FIRST, _LAST = 0.6, 0.9


def _natural_unit(problem: Problem) -> Tensor:
    """What to divide each image by, `(B, 1, 1, 1)`, to give it the contrast of the photographs that a prior knows."""
    contrast = problem.statistics.contrast.mean(1, keepdim=True)
    return (contrast / _CONTRAST).expand(len(problem.image), *contrast.shape[1:])


def levels(problem: Problem) -> Iterator[Tensor]:
    """Noise levels from the contrast down to the noise."""
    statistics = problem.statistics
    first = _FIRST * statistics.contrast.mean(1, keepdim=True)
    return falling(problem, first, _LAST * statistics.sigma.mean(1, keepdim=True))


def map_scenes(problem: Problem, prior: PatchPrior, *, weight: float | Tensor, stride: int) -> Iterator[Tensor]:
    """Yield scenes ever more probable under data and prior."""
    return half_quadratic(problem, prior_step(problem, prior, stride), levels(problem), weight=weight)


def prior_step(problem: Problem, prior: PatchPrior, stride: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The prior's denoiser for the unit and the level of each sample; another grid of patches every time."""
    prior, unit = prior.to(problem.image.device), _natural_unit(problem)
    iterations = itertools.count()

    def denoise(x: Tensor, level: Tensor) -> Tensor:
        seed = next(iterations)
        samples = []
        for sample, scale, noise in zip(
            x, unit.flatten().tolist(), level.expand_as(unit).flatten().tolist(), strict=True
        ):
            # The slices of a volume are images.
            images = sample.transpose(0, 1) if sample.ndim == 4 else sample.unsqueeze(0)
            offset = torch.Generator().manual_seed(seed)
            clean = prior.denoise(images / scale, noise / scale, stride=stride, generator=offset) * scale
            samples.append(clean.transpose(0, 1) if sample.ndim == 4 else clean.squeeze(0))
        return torch.stack(samples)

    return denoise
