r"""A network whose layers are exact solves: a few steps of deconvolution, and what is learnt between them.

With the observation y, the pixel mask W and the blur h on the padded domain, a stage refines a latent image z. It
solves for what the observation says beyond z, under several weights at once, each exactly in frequency,

.. math:: d_k = \arg\min_d \tfrac12 \| r - h * d \|^2 + \tfrac{w_k \lambda}{2} \| \nabla d \|^2, \qquad
    r = W (y - h * z),

and a small network, `CosineGates`, sees z, the d_k, and how much noise each of them holds, and says what to add to z.
Beyond the frame there is no misfit, so that nothing there has to be made up: the boundary is that of the domain. The
first z is that of `hyper_laplacian`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..imaging.boundary import crop, extend
from ..nn.cosine_gates import CosineGates
from .algorithms import hyper_laplacian
from .derivatives import Gradient
from .padded_domain import PaddedDomain
from .problem import Problem
from .statistics import Statistics

__all__ = ["UnrolledDeconvolution", "check_config", "noise_of"]

# Of the noise over the contrast: with less than that nothing would keep the inverses bounded.
_LEAST_NOISE = 0.002

# The weight of the gradient = coefficient * noise^power in units of the contrast, as for `tikhonov`.
_COEFFICIENT, _POWER = 0.7, 1.5

# Pixels beyond the border that the network sees: half of its receptive field.
_OVERLAP = 16


class UnrolledDeconvolution(nn.Module):
    """Restoration in a few stages of exact solves and small networks.

    Images are restored channel by channel. The unit of an image makes no difference, nor does a constant added to it.

    Parameters
    ----------
    stages : int
        How many.
    weights : sequence of float
        :math:`w_k` of the solves in each.
    width : int
        Of each `CosineGates`.

    Attributes
    ----------
    config : dict
        What builds the like of it.
    """

    def __init__(self, *, stages: int = 1, weights: Sequence[float] = (0.02, 0.15, 1.0), width: int = 128) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"stages": stages, "weights": list(weights), "width": width}
        _check(**self.config)
        self.stages = nn.ModuleList(_Stage(weights, width) for _ in range(stages))

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next(self.parameters()).device

    def forward(self, problem: Problem) -> Tensor:
        """The latent image of the last stage, `(B, C, H, W)` on the padded domain."""
        return next(itertools.islice(self.iterates(problem), max(problem.num_iter, len(self.stages)) - 1, None))

    def iterates(self, problem: Problem) -> Iterator[Tensor]:
        """The latent images of the start, and after each stage: as many as the problem's iterations in all."""
        starting, latent = problem.num_iter - len(self.stages), problem.domain.start()
        first = hyper_laplacian.iterates(replace(problem, num_iter=max(starting, 1)))
        for latent in itertools.islice(first, max(starting, 0)):
            yield latent
        statistics, domain = problem.statistics, problem.domain
        sigma = noise_of(statistics)
        roughness = _COEFFICIENT * (sigma / statistics.typical_contrast) ** _POWER
        roughness = roughness * Gradient().power(domain.shape, problem.image)
        for stage in self.stages:
            latent = domain.project(latent + cast(_Stage, stage)(latent, domain, roughness, sigma))
            yield latent


def noise_of(statistics: Statistics) -> Tensor:
    """Standard deviation of the noise that the network takes an image to have, `(B or 1, C or 1, 1, 1)`."""
    return torch.maximum(statistics.sigma, _LEAST_NOISE * statistics.typical_contrast)


class _Stage(nn.Module):
    """What to add to a latent image."""

    def __init__(self, weights: Sequence[float], width: int) -> None:
        super().__init__()
        self.weights = weights
        self.network = CosineGates(1 + len(weights), width)

    def forward(self, latent: Tensor, domain: PaddedDomain, roughness: Tensor, sigma: Tensor) -> Tensor:
        """The change, of the shape of `latent`."""
        blurred = domain.blur(latent)
        spectrum = domain.forward.spectrum_of_adjoint(domain.target(blurred) - domain.mask * blurred)
        power, space = domain.forward.power, latent.shape[-2:]
        images, covariances = [latent], []
        for weight in self.weights:
            inverse = (power + weight * roughness).clamp_min(1e-12).reciprocal()
            images.append(domain.ifft(inverse * spectrum))
            covariances.append(_around_zero(domain.ifft(power * inverse.square()).expand(*latent.shape[:2], -1, -1)))
        planes = torch.stack(images, 2)[domain.seen].flatten(0, 1)
        noise = (sigma.square()[..., None] * torch.stack(covariances, 2)).flatten(0, 1)
        levels = sigma.expand(*latent.shape[:2], 1, 1).reshape(-1, 1)
        change = self._change(planes, noise, levels, domain.boundary == "circular")
        change = change.unflatten(0, latent.shape[:2]).squeeze(2).to(latent.dtype)
        return pad(change, (0, space[1] - change.shape[-1], 0, space[0] - change.shape[-2]))

    def _change(self, planes: Tensor, noise: Tensor, levels: Tensor, circular: bool) -> Tensor:
        """What the network says, given images, the covariance of their noise, and its deviation in the observation."""
        own = self.network.first.weight.dtype
        margins = [(_OVERLAP, _OVERLAP + -n % 8) for n in planes.shape[-2:]]
        wide = extend(planes.to(own), margins, method="circular" if circular else "replicate")
        return crop(self.network(wide, noise.to(own), levels.to(own)), margins)


def _around_zero(covariance: Tensor) -> Tensor:
    """A covariance on a torus between pixels up to 7 apart."""
    index = torch.arange(-7, 8, device=covariance.device)
    rows, columns = (index % n for n in covariance.shape[-2:])
    return covariance[..., rows[:, None], columns]


def check_config(config: Mapping[str, Any], held: int) -> None:
    """Refuse, before it is built, a network that would have more parameters than the `held` numbers of its file."""
    stages, weights, width = config["stages"], config["weights"], config["width"]
    _check(stages, weights, width)
    announced = stages * width * (9 * width + 63 * len(weights))
    if announced > held:
        raise ValueError(f"its configuration announces at least {announced:,} numbers, it holds {held:,}")


def _check(stages: int, weights: Sequence[float], width: int) -> None:
    for name, value in {"stages": stages, "width": width}.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: expected a whole number from 1 on, given {value!r}")
    if not weights or not all(isinstance(weight, (int, float)) and weight > 0 for weight in weights):
        raise ValueError(f"weights: expected positive numbers, given {weights!r}")
