"""Several restorations of one image, and where they differ."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, cast

import torch
from torch import Tensor
from typing_extensions import Unpack

from ..imaging.arrays import as_image_batch
from ..prior import ImagePrior, load_prior
from .common_options import CommonOptions, explain_common_options
from .problem import Problem
from .run import Image, run
from .with_prior import prior_denoiser, split_with_prior

__all__ = ["Posterior", "flow_posterior"]


@dataclass(frozen=True)
class Posterior(Generic[Image]):
    """Draws from what an image may have been.

    Parameters
    ----------
    samples : list of array or Tensor
        The restorations, each like the image.
    mean : array or Tensor
        Of them, like the image.
    deviation : array or Tensor
        Their standard deviation at each pixel, floats in the image's layout, as a part of full scale: what is large was
        made up.
    """

    samples: list[Image]
    mean: Image
    deviation: Any


@explain_common_options
def flow_posterior(
    image: Image,
    psf: Any,
    prior: str | os.PathLike | ImagePrior = "flow",
    *,
    samples: int = 8,
    seed: int = 0,
    temperature: float = 0.5,
    weight: float = 0.27,
    stride: int | None = None,
    num_iter: int = 9,
    **common: Unpack[CommonOptions],
) -> Posterior[Image]:
    r"""Restore an image several times, as different as data and prior allow.

    At noise levels s that fall from the contrast to the noise, by turns

    .. math:: x = \arg\min_x \frac{\| y - h * x \|^2}{2\sigma^2} + \frac{\lambda \| x - z \|^2}{2 s^2}, \qquad
        z = x + s^2 \nabla \log p_s(x) + \tau s \, \epsilon, \quad \epsilon \sim \mathcal N(0, I):

    annealed Langevin dynamics through the score of the flow, with an exact step for the data. What the blur has left
    undecided comes out differently in each sample, and what the data say, the same. The deviation shows where an
    error is likely, and is not its size: with patches that overlap, p is not quite a density.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch; see `deconv.imaging.arrays`.
    psf : array or Tensor
        `(kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel.
    prior : str, path or ImagePrior
        As for `flow_map`.
    samples : int
        How many, at least 2.
    seed : int
        Of the noise.
    temperature : float
        :math:`\tau`; from 0, all samples alike, to 1, noise as strong as what is taken away.
    weight : float
        As for `flow_map`.
    stride : int, optional
        As for `flow_map`.
    num_iter : int
        Iterations for each sample, at most.
    **common : CommonOptions
        What all take, but for info: sigma, boundary, mask, white, linear, statistics, tolerance, callback, progress.

    Returns
    -------
    Posterior
        The samples, their mean and their deviation.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what is allowed.

    References
    ----------
    Song and Ermon, "Generative modeling by estimating gradients of the data distribution", NeurIPS 2019. Kadkhodaie and
    Simoncelli, "Stochastic solutions for linear inverse problems using the prior implicit in a denoiser", NeurIPS 2021.
    """
    if samples < 2:
        raise ValueError(f"samples: a deviation needs at least 2, given {samples}")
    if not 0 <= temperature <= 1:
        raise ValueError(f"temperature: expected 0 to 1, given {temperature}")
    if common.get("info"):
        raise ValueError("info: draws from a posterior do not converge; expected False")
    if common.get("frames") or isinstance(image, list | tuple):
        raise ValueError("image: flow_posterior takes one frame; several are for flow_map")
    density = load_prior(prior)
    channel_axis = common.pop("channel_axis", None)
    batch, back = as_image_batch(image, space=2, channel_axis=channel_axis)

    def draw(number: int) -> Tensor:
        return run(
            batch,
            psf,
            lambda problem: _iterates(problem, density, seed + number, temperature, weight, stride),
            num_iter=num_iter,
            name="flow_posterior",
            **common,
        )

    drawn = torch.stack([draw(number) for number in range(samples)])
    floats: Any = image.float() if isinstance(image, Tensor) else cast(Any, image).astype("float32")
    _, as_float = as_image_batch(floats, space=2, channel_axis=channel_axis)
    return Posterior([back(sample) for sample in drawn], back(drawn.mean(0)), as_float(drawn.std(0)))


def _iterates(
    problem: Problem, prior: ImagePrior, seed: int, temperature: float, weight: float, stride: int | None
) -> Iterator[Tensor]:
    """Latent images that end as a draw from the posterior."""
    generator = torch.Generator(problem.image.device).manual_seed(seed)
    denoise = prior_denoiser(problem, prior, stride)
    remaining = itertools.count(problem.num_iter - 1, -1)

    def disturbed(x: Tensor, noise_level: Tensor) -> Tensor:
        clean = denoise(x, noise_level)
        if next(remaining) <= 0:
            return clean
        noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype, device=clean.device)
        return clean + temperature * noise_level * noise

    return split_with_prior(problem, prior, disturbed, weight=weight)
