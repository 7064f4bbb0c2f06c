"""Half-quadratic splitting with a prior of `deconv.prior`: what `epll`, `flow_map` and `flow_posterior` share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..prior import ImagePrior, detail_power
from ..prior.image_prior import CONTRAST
from .half_quadratic import falling, half_quadratic
from .hyper_laplacian import hyper_laplacian
from .problem import Problem

__all__ = ["map_scenes", "prior_step", "split"]

# The first level, in units of the contrast, and the last one, in units of the noise.
_FIRST, _LAST = 0.6, 0.9

# Iterations of `hyper_laplacian` to start from, its default.
_STARTING = 30


def _natural_unit(problem: Problem) -> Tensor:
    """What to divide each image by, `(B, 1, 1, 1)`, to give it the contrast of the photographs that a prior knows."""
    contrast = problem.statistics.contrast.mean(1, keepdim=True)
    return (contrast / CONTRAST).expand(len(problem.image), *contrast.shape[1:])


def map_scenes(problem: Problem, prior: ImagePrior, *, weight: float | Tensor, stride: int | None) -> Iterator[Tensor]:
    """Yield scenes ever more probable under data and prior."""
    return split(problem, prior, prior_step(problem, prior, stride), weight=weight)


def split(
    problem: Problem, prior: ImagePrior, step: Callable[[Tensor, Tensor], Tensor], *, weight: float | Tensor
) -> Iterator[Tensor]:
    """Half-quadratic splitting with noise levels from the contrast down to the noise.

    Patches without their means know nothing of long waves. Those that the blur has taken as well come from the start,
    for which derivatives have decided; the others, from the data alone.
    """
    statistics, domain = problem.statistics, problem.domain
    contrast, sigma = (t.mean(1, keepdim=True) for t in (statistics.contrast, statistics.sigma))
    return half_quadratic(
        problem,
        step,
        falling(problem, _FIRST * contrast, _LAST * sigma),
        weight=weight,
        start=_sparse_scene(problem),
        seen=detail_power(prior.size, domain.shape[-2:]).to(domain.observed),
    )


def _sparse_scene(problem: Problem) -> Tensor:
    scenes = hyper_laplacian.scenes(replace(problem, num_iter=_STARTING))
    return next(itertools.islice(scenes, _STARTING - 1, None))


def prior_step(problem: Problem, prior: ImagePrior, stride: int | None) -> Callable[[Tensor, Tensor], Tensor]:
    """The prior's denoiser for the unit and the level of each sample; other grids every time.

    The last iteration, whose scene nothing smooths any more, has grids twice as fine.
    """
    prior, unit = prior.to(problem.image.device), _natural_unit(problem)
    iterations = itertools.count()
    stride = prior.spacing if stride is None else stride
    last, finer = problem.num_iter - 1, (stride + 1) // 2

    def denoise(x: Tensor, level: Tensor) -> Tensor:
        seed = next(iterations)
        samples = []
        for sample, scale, noise in zip(
            x, unit.flatten().tolist(), level.expand_as(unit).flatten().tolist(), strict=True
        ):
            # The slices of a volume are images.
            images = sample.transpose(0, 1) if sample.ndim == 4 else sample.unsqueeze(0)
            offset = torch.Generator().manual_seed(seed)
            grid = {"stride": stride if seed < last else finer, "generator": offset}
            clean = prior.denoise(images / scale, noise / scale, passes=1, **grid) * scale
            samples.append(clean.transpose(0, 1) if sample.ndim == 4 else clean.squeeze(0))
        return torch.stack(samples)

    return denoise
