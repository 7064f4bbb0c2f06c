"""Restoration with any denoiser in the place of a prior."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .denoisers import Denoiser, as_denoiser
from .frame import iterative
from .half_quadratic import falling, half_quadratic
from .problem import Problem

__all__ = ["plug_and_play"]

# The first noise level, in units of the image's contrast.
_FIRST = 0.75


@iterative(num_iter=12)
def plug_and_play(
    problem: Problem,
    denoiser: Any = None,
    *,
    weight: float = 0.3,
    levels: Sequence[float] | None = None,
    multipliers: bool = False,
) -> Iterator[Tensor]:
    r"""Deblur with a denoiser D, by half-quadratic splitting.

    .. math:: x \leftarrow \arg\min_x \tfrac12 \| y - h * x \|^2
        + \frac{\lambda\sigma^2}{2\sigma_k^2} \| x - z \|^2, \qquad z \leftarrow D(x, \sigma_k)

    The noise levels :math:`\sigma_k` fall geometrically, so that large structures settle before fine ones.

    Parameters
    ----------
    denoiser: ``denoiser(x, sigma)`` for tensors `(B, C, H, W)` and a number, as deepinv's are; or one of
        scikit-image's ``denoise_*`` functions, as it is; see `deconv.restore.denoisers`. None: shrinkage of cosine
        coefficients, `dct_denoise`.
    weight: :math:`\lambda`; 0.2 to 0.5 is usual.
    levels: the :math:`\sigma_k`, in the image's unit; the last one stays. None: from three quarters of the
        image's contrast to its noise, within `num_iter` steps.
    multipliers: carry the difference of x and z along, which makes it the alternating direction method: a fixed
        point for a fixed level, where the splitting needs falling ones.

    References
    ----------
    Zhang, Li, Zuo, Zhang, Van Gool and Timofte, "Plug-and-play image restoration with deep denoiser prior", IEEE
    TPAMI 2021. Venkatakrishnan, Bouman and Wohlberg, "Plug-and-play priors for model based reconstruction",
    GlobalSIP 2013.
    """
    denoise = as_denoiser(denoiser)
    levels = _levels(problem, levels)
    return half_quadratic(
        problem, lambda x, level: _apply(denoise, x, level), levels, weight=weight, multipliers=multipliers
    )


def _levels(problem: Problem, levels: Sequence[float] | None) -> Iterator[Tensor]:
    """Noise levels `(B, 1, 1, 1)`, without end. Channels share theirs: a denoiser sees them together."""
    statistics = problem.statistics
    shape = (len(problem.image), *[1] * (problem.image.ndim - 1))
    if levels is None:
        first = _FIRST * statistics.contrast.mean(1, keepdim=True)
        return (level.expand(shape) for level in falling(problem, first, statistics.sigma.mean(1, keepdim=True)))
    if len(levels) == 0 or min(levels) <= 0:
        raise ValueError(f"levels: expected positive numbers, given {levels}")
    given = [statistics.contrast.new_tensor(level).expand(shape) for level in levels]
    return itertools.chain(given, itertools.repeat(given[-1]))


def _apply(denoise: Denoiser, x: Tensor, level: Tensor) -> Tensor:
    """Denoisers take one number, so samples of different noise are given to them one by one."""
    numbers = level.flatten().tolist()
    if len(set(numbers)) == 1:
        result = denoise(x, numbers[0])
    else:
        result = torch.cat([denoise(sample, number) for sample, number in zip(x.split(1), numbers, strict=True)])
    if not isinstance(result, Tensor) or result.shape != x.shape:
        given = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        raise TypeError(f"denoiser: expected a tensor {tuple(x.shape)} back, given {given}")
    return result
