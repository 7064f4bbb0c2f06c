"""Several restorations of one image, and where they differ."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from ..prior import ImagePrior, load_prior
from .frame import iterative
from .problem import Problem
from .with_prior import prior_step, split

__all__ = ["Posterior", "flow_posterior"]


@dataclass(frozen=True)
class Posterior:
    """Draws from what an image may have been.

    samples: the restorations, each like the image. mean: of them, like the image.
    deviation: their standard deviation at each pixel, floats in the image's layout, as a part of full scale: what
        is large was made up.
    """

    samples: list[Any]
    mean: Any
    deviation: Any


def flow_posterior(
    image: Any,
    psf: Any,
    prior: str | os.PathLike | ImagePrior = "flow",
    *,
    samples: int = 8,
    seed: int = 0,
    temperature: float = 0.5,
    weight: float = 0.27,
    stride: int | None = None,
    **common: Any,
) -> Posterior:
    r"""Restore an image several times, as different as data and prior allow.

    At noise levels s that fall from the contrast to the noise, by turns

    .. math:: x = \arg\min_x \frac{\| y - h * x \|^2}{2\sigma^2} + \frac{\lambda \| x - z \|^2}{2 s^2}, \qquad
        z = x + s^2 \nabla \log p_s(x) + \tau s \, \epsilon, \quad \epsilon \sim \mathcal N(0, I):

    annealed Langevin dynamics through the score of the flow, with an exact step for the data. What the blur has left
    undecided comes out differently in each sample, and what the data say, the same. The deviation shows where an
    error is likely, and is not its size: with patches that overlap, p is not quite a density.

    Parameters
    ----------
    image, psf: see `flow_map`; so are prior, weight and stride.
    samples: how many, at least 2. seed: of the noise.
    temperature: :math:`\tau`; from 0, all samples alike, to 1, noise as strong as what is taken away.
    common: the keywords that all restorations take: sigma, num_iter (9 by default), boundary, mask, linear, ...

    References
    ----------
    Song and Ermon, "Generative modeling by estimating gradients of the data distribution", NeurIPS 2019. Kadkhodaie and
    Simoncelli, "Stochastic solutions for linear inverse problems using the prior implicit in a denoiser", NeurIPS 2021.
    """
    if samples < 2:
        raise ValueError(f"samples: a deviation needs at least 2, given {samples}")
    if not 0 <= temperature <= 1:
        raise ValueError(f"temperature: expected 0 to 1, given {temperature}")
    own = {"prior": load_prior(prior), "temperature": temperature, "weight": weight, "stride": stride}
    batch, back = as_image_batch(image, space=2)
    drawn = torch.stack([_draw(batch, psf, seed=seed + i, **own, **common) for i in range(samples)])
    as_float = as_image_batch(image.float() if torch.is_tensor(image) else image.astype("float32"), space=2)[1]
    return Posterior([back(sample) for sample in drawn], back(drawn.mean(0)), as_float(drawn.std(0)))


@iterative(num_iter=9)
def _draw(
    problem: Problem, prior: ImagePrior, *, seed: int, temperature: float, weight: float, stride: int | None
) -> Iterator[Tensor]:
    """Yield scenes that end as a draw from the posterior."""
    generator = torch.Generator(problem.image.device).manual_seed(seed)
    step = prior_step(problem, prior, stride)
    remaining = itertools.count(problem.num_iter - 1, -1)

    def disturbed(x: Tensor, level: Tensor) -> Tensor:
        clean = step(x, level)
        if next(remaining) <= 0:
            return clean
        noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype, device=clean.device)
        return clean + temperature * level * noise

    return split(problem, prior, disturbed, weight=weight)
