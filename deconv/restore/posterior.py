"""Draws from the posterior of an image under a learnt prior."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, cast

import torch
from torch import Tensor
from typing_extensions import Unpack

from ..imaging.arrays import as_image_batch
from ..prior import ImagePrior, load_prior
from .chains import effective_size, r_hat
from .common_options import CommonOptions, explain_common_options
from .langevin import langevin, noise_levels
from .metropolis import Metropolis
from .problem import Problem
from .psf_error import with_psf_error
from .run import Image, RestorationWarning, run
from .with_prior import prior_denoiser, sparse_start

__all__ = ["Posterior", "flow_posterior"]

# R-hat of chains that disagree. Where chains start anew from an intermediate level for each draw, 1.0 to 1.3 is usual.
_DISAGREEING = 1.5

# Steps of a chain from one draw to the next, in parts of those to its first.
_AGAIN = 2 / 3


@dataclass(frozen=True)
class Posterior(Generic[Image]):
    """Draws from the posterior of an image.

    Parameters
    ----------
    samples : list of array or Tensor
        The draws, each like the image; those of one chain follow each other.
    mean : array or Tensor
        Of them, like the image.
    deviation : array or Tensor
        Their standard deviation at each pixel, floats in the image's layout, as a part of full scale: how large an
        error of the mean is to be expected.
    r_hat : float
        Agreement of the chains, about 1 where they have all seen the same; not a number with one draw in each. See
        `deconv.restore.chains`.
    effective_samples : float
        How many independent draws these are worth.
    acceptance : float
        With what probability Metropolis's rule took a trajectory; not a number without any.
    """

    samples: list[Image]
    mean: Image
    deviation: Any
    r_hat: float = math.nan
    effective_samples: float = math.nan
    acceptance: float = math.nan


@explain_common_options
def flow_posterior(
    image: Image,
    psf: Any,
    prior: str | os.PathLike | ImagePrior = "flow",
    *,
    samples: int = 8,
    chains: int | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    spread: float | None = None,
    weight: float = 1.0,
    stride: int | None = None,
    num_iter: int = 12,
    metropolis: int = 0,
    **common: Unpack[CommonOptions],
) -> Posterior[Image]:
    r"""Draw restorations of an image from the posterior under a learnt prior.

    .. math:: p(x \mid y) \propto \exp\left(-\frac{\| y - h * x \|^2}{2\sigma^2}\right) p(x)^\lambda

    by Langevin dynamics with an exact solve for the data, at noise levels that fall from the contrast to the noise; see
    `deconv.restore.langevin`. For a Gaussian prior the draws have the exact mean and covariance. What the blur
    has left undecided comes out differently in each of them, and what the data say, the same.

    A density of overlapping blocks takes what these have in common for evidence several times over, and is too sure of
    itself. So the draws are moved away from their mean by a factor that was measured once for each prior, on other
    photographs and psfs than any that it is reported on.

    Where the prior is not Gaussian, a few long steps come near the density, but not all the way. `metropolis` goes on
    from there by trajectories that leave it exactly as it is, see `deconv.restore.metropolis`: chains agree, and little
    is left of the factor.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch; see `deconv.imaging.arrays`.
    psf : array or Tensor
        `(kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel.
    prior : str, path or ImagePrior
        As for `flow_map`.
    samples : int
        How many draws, at least 2.
    chains : int, optional
        How many chains they come from, a divisor of `samples`. Two draws or more in each tell whether chains agree, and
        cost less than more chains. By default 4, 3 or 2 with as many draws in each, or one for each draw.
    seed : int
        Of the noise.
    temperature : float
        What the noise of the dynamics is multiplied by: from 0, where draws differ by the grids of blocks alone, to 1,
        the posterior.
    spread : float, optional
        What the draws' distances from their mean are multiplied by; by default the prior's `spread`, with `metropolis`
        its `refined_spread`; 1 for a prior of one's own.
    weight : float
        :math:`\lambda`.
    stride : int, optional
        As for `flow_map`.
    num_iter : int
        Iterations of a chain up to its first draw; two thirds as many up to each that follows.
    metropolis : int
        Trajectories before each draw, accepted or rejected by Metropolis's rule; each costs as much as four iterations.
    **common : CommonOptions
        What all take, but for info and tolerance: sigma, boundary, mask, white, linear, statistics, callback, progress.

    Returns
    -------
    Posterior
        The draws, their mean and deviation, and how far chains agree.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what is allowed.

    Warns
    -----
    RestorationWarning
        The chains disagree: more iterations are needed.

    References
    ----------
    Song and Ermon, "Generative modeling by estimating gradients of the data distribution", NeurIPS 2019. Leimkuhler and
    Matthews, "Rational construction of stochastic numerical methods for molecular sampling", Applied Mathematics
    Research eXpress 2013. Papandreou and Yuille, "Gaussian sampling by local perturbations", NeurIPS 2010.
    """
    if chains is None:
        chains = next((n for n in (4, 3, 2) if samples % n == 0 and samples > n), samples)
    _check(samples, chains, temperature, spread, weight, num_iter, metropolis)
    if common.get("info"):
        raise ValueError("info: draws from a posterior do not converge; expected False")
    if common.get("tolerance"):
        raise ValueError("tolerance: draws from a posterior do not converge; expected 0")
    if common.get("frames") or isinstance(image, list | tuple):
        raise ValueError("image: flow_posterior takes one frame; several are for flow_map")
    density = load_prior(prior)
    channel_axis = common.pop("channel_axis", None)
    batch, back = as_image_batch(image, space=2, channel_axis=channel_axis)
    draws, again = samples // chains, max(2, round(_AGAIN * num_iter))
    total, user = num_iter + (draws - 1) * again, common.get("callback")
    ends = {num_iter - 1 + metropolis + k * (again + metropolis) for k in range(draws)}
    drawn: list[Tensor] = []
    refined: list[Metropolis] = []

    def keep(iteration: int, latent: Tensor) -> bool | None:
        if iteration in ends:
            drawn.append(latent)
        return user(iteration, back(latent)) if user is not None else None

    common["callback"] = keep
    for chain in range(chains):

        def iterates(problem: Problem, number: int = seed + chain) -> Iterator[Tensor]:
            levels = noise_levels(problem, first=num_iter, again=again, draws=draws)
            start, generator = sparse_start(problem), torch.Generator(problem.image.device).manual_seed(number)
            given = {"start": start, "weight": weight, "generator": generator}
            refine = None
            if metropolis:
                refine = Metropolis(problem, density, level=levels[-1], count=metropolis, **given)
                refined.append(refine)
            denoise = prior_denoiser(problem, density, stride, first=total * number, finer=False)
            return langevin(problem, denoise, levels, temperature=temperature, refine=refine, **given)

        run(batch, psf, iterates, num_iter=max(ends) + 1, name="flow_posterior", noise_rule=with_psf_error, **common)
        if len(drawn) < (chain + 1) * draws:
            break  # by the callback
    if len(drawn) < 2:
        raise RuntimeError("callback: stopped flow_posterior before its second draw")
    stack = torch.stack(drawn)
    agreement, size = math.nan, float(len(stack))
    if len(stack) == samples:
        by_chain = stack.unflatten(0, (chains, draws))
        agreement, size = r_hat(by_chain), effective_size(by_chain)
    if agreement > _DISAGREEING:
        warnings.warn(
            f"num_iter: the chains disagree (R-hat {agreement:.2f}, 1 where they agree), deviations may be too small; "
            f"more iterations than {num_iter} help",
            RestorationWarning,
            stacklevel=2,
        )
    mean = stack.mean(0)
    if spread is None:
        spread = density.refined_spread if metropolis else density.spread
    stack = mean + spread * (stack - mean)
    floats: Any = image.float() if isinstance(image, Tensor) else cast(Any, image).astype("float32")
    _, as_float = as_image_batch(floats, space=2, channel_axis=channel_axis)
    rates = [rate for chain in refined for rate in chain.acceptances]
    acceptance = float(torch.stack(rates).mean()) if rates else math.nan
    return Posterior(
        [back(sample) for sample in stack], back(mean), as_float(stack.std(0)), agreement, size, acceptance
    )


def _check(
    samples: int,
    chains: int,
    temperature: float,
    spread: float | None,
    weight: float,
    num_iter: int,
    metropolis: int,
) -> None:
    if samples < 2:
        raise ValueError(f"samples: a deviation needs at least 2, given {samples}")
    if not 1 <= chains <= samples or samples % chains:
        raise ValueError(f"chains: expected a divisor of samples, {samples}, given {chains}")
    if not 0 <= temperature <= 1:
        raise ValueError(f"temperature: expected 0 to 1, given {temperature}")
    if spread is not None and not 0 < spread < math.inf:
        raise ValueError(f"spread: expected a positive number, given {spread}")
    if not 0 < weight < math.inf:
        raise ValueError(f"weight: expected a positive number, given {weight}")
    if num_iter < 2:
        raise ValueError(f"num_iter: expected at least 2, given {num_iter}")
    if not isinstance(metropolis, int) or metropolis < 0:
        raise ValueError(f"metropolis: expected a whole number from 0 on, given {metropolis!r}")
    if metropolis and temperature != 1:
        raise ValueError(f"metropolis: draws from the posterior itself, of temperature 1; given {temperature}")
