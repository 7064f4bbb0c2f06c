"""Half-quadratic splitting with a prior of `deconv.prior`: what `epll`, `flow_map` and `flow_posterior` share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..prior import ImagePrior, detail_power
from ..prior.image_prior import CONTRAST
from .algorithms import hyper_laplacian
from .convergence import Minimisation
from .half_quadratic import falling_noise_levels, half_quadratic
from .problem import Problem

__all__ = ["most_probable", "natural_unit", "prior_denoiser", "sparse_start", "split_with_prior"]

# The first noise level, in units of the contrast, and the last one, in units of the noise.
_FIRST, _LAST = 0.6, 0.9

# Iterations of `hyper_laplacian` to start from, its default.
_STARTING = 30


def most_probable(
    problem: Problem, prior: ImagePrior, *, weight: float | Tensor, stride: int | None
) -> Iterator[Tensor]:
    r"""Latent images that minimise :math:`\tfrac12 \| W^{1/2} (y - h * x) \|^2 - \lambda\sigma^2 \log p(x)`."""

    def objective(latent: Tensor) -> Tensor:
        noise = problem.statistics.sigma.square().mean(1, keepdim=True)
        samples = zip(latent, natural_unit(problem).flatten().tolist(), strict=True)
        log_prob = [prior.log_prob(_as_images(sample) / unit, stride=prior.spacing).sum() for sample, unit in samples]
        return problem.domain.misfit(latent) - (weight * noise).flatten() * torch.stack(log_prob)

    latents = split_with_prior(problem, prior, prior_denoiser(problem, prior, stride), weight=weight)
    return Minimisation(latents, objective)


def split_with_prior(
    problem: Problem, prior: ImagePrior, denoise: Callable[[Tensor, Tensor], Tensor], *, weight: float | Tensor
) -> Iterator[Tensor]:
    """Half-quadratic splitting with noise levels from the contrast down to the noise.

    Patches without their means know nothing of long waves. Where the blur has taken these as well, they come from the
    start, a restoration by `hyper_laplacian`; elsewhere from the data alone.
    """
    statistics, domain = problem.statistics, problem.domain
    contrast, sigma = (t.mean(1, keepdim=True) for t in (statistics.contrast, statistics.sigma))
    return half_quadratic(
        problem,
        denoise,
        falling_noise_levels(problem, _FIRST * contrast, _LAST * sigma),
        weight=weight,
        start=sparse_start(problem),
        seen=detail_power(prior.size, domain.shape[-2:]).to(domain.observed),
    )


def prior_denoiser(
    problem: Problem, prior: ImagePrior, stride: int | None, *, first: int = 0, finer: bool = True
) -> Callable[[Tensor, Tensor], Tensor]:
    """The prior's denoiser, at the unit and the noise level of each sample; other grids of patches every time.

    They are drawn with the seeds from `first` on. The last iteration, whose result nothing smooths any more, has grids
    twice as fine, if `finer`.
    """
    prior, unit = prior.on(problem.image.device), natural_unit(problem)
    iterations = itertools.count(first)
    stride = prior.spacing if stride is None else stride
    last, fine = first + problem.num_iter - 1, (stride + 1) // 2

    def denoise(x: Tensor, noise_level: Tensor) -> Tensor:
        seed = next(iterations)
        samples = []
        for sample, scale, noise in zip(
            x, unit.flatten().tolist(), noise_level.expand_as(unit).flatten().tolist(), strict=True
        ):
            offset = torch.Generator().manual_seed(seed)
            grid = {"stride": fine if finer and seed == last else stride, "generator": offset}
            clean = prior.denoise(_as_images(sample) / scale, noise / scale, passes=1, **grid) * scale
            samples.append(clean.transpose(0, 1) if sample.ndim == 4 else clean.squeeze(0))
        return torch.stack(samples)

    return denoise


def _as_images(sample: Tensor) -> Tensor:
    """A sample as a batch; the slices of a volume are images."""
    return sample.transpose(0, 1) if sample.ndim == 4 else sample.unsqueeze(0)


def natural_unit(problem: Problem) -> Tensor:
    """What to divide each image by, `(B, 1, 1, 1)`, to give it the contrast of the photographs that a prior knows."""
    contrast = problem.statistics.contrast.mean(1, keepdim=True)
    return (contrast / CONTRAST).expand(len(problem.mean_frame), *contrast.shape[1:])


def sparse_start(problem: Problem) -> Tensor:
    """A restoration by `hyper_laplacian`, on the padded domain."""
    latents = hyper_laplacian.iterates(replace(problem, num_iter=_STARTING))
    return next(itertools.islice(latents, _STARTING - 1, None))
