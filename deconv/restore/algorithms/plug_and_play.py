"""Restoration with any denoiser in the place of a prior."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from ..common_options import CommonOptions, explain_common_options
from ..denoisers import Denoiser, as_denoiser
from ..half_quadratic import falling_noise_levels, half_quadratic
from ..problem import Problem
from ..psf_error import with_psf_error
from ..run import Image, run

__all__ = ["iterates", "plug_and_play"]

# The first noise level, in units of the image's contrast.
_FIRST = 0.75

# How far noise and ringing take an image in [0, 1] beyond that.
_BEYOND = 0.5


@explain_common_options
def plug_and_play(
    image: Image | Sequence[Image],
    psf: Any = None,
    denoiser: Any = None,
    *,
    weight: float | Tensor = 0.3,
    levels: Sequence[float] | None = None,
    multipliers: bool = False,
    num_iter: int = 12,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Deblur with a denoiser D, by half-quadratic splitting.

    .. math:: x \leftarrow \arg\min_x \tfrac12 \| y - h * x \|^2
        + \frac{\lambda\sigma^2}{2\sigma_k^2} \| x - z \|^2, \qquad z \leftarrow D(x, \sigma_k)

    The noise levels :math:`\sigma_k` fall geometrically, so that large structures settle before fine ones.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor, optional
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel. Where it
        varies over the field, `psf_field` takes its place.
    denoiser : callable, optional
        ``denoiser(x, sigma)`` for tensors `(B, C, H, W)` and a number, as deepinv's are; or one of scikit-image's
        ``denoise_*`` functions, as it is; see `deconv.restore.denoisers`. A network (`torch.nn.Module`) gets images in
        [0, 1], in its own dtype, on its own device, whatever the image has. By default shrinkage of cosine
        coefficients, `dct_denoise`. Where steps grow, as with denoisers that add detail of their own, they are damped,
        and a RuntimeWarning says so.
    weight : float or Tensor
        :math:`\lambda`; 0.2 to 0.5 is usual.
    levels : sequence of float, optional
        The :math:`\sigma_k`, in the image's unit; the last one stays. By default from three quarters of the image's
        contrast to its noise, within `num_iter` steps.
    multipliers : bool
        Carry the difference of x and z along, which makes it the alternating direction method of multipliers: a fixed
        point for a fixed level, where the splitting needs falling ones.
    num_iter : int
        Iterations, at most.
    **common : CommonOptions
        What all take, such as sigma, boundary, mask, frames and psf_field.

    Returns
    -------
    array or Tensor
        The restored image: kind of array, layout, dtype and range of `image`. Floats are not clipped.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what is allowed.

    References
    ----------
    Zhang, Li, Zuo, Zhang, Van Gool and Timofte, "Plug-and-play image restoration with deep denoiser prior", IEEE
    TPAMI 2021. Venkatakrishnan, Bouman and Wohlberg, "Plug-and-play priors for model based reconstruction",
    GlobalSIP 2013.
    """
    return run(
        image,
        psf,
        lambda problem: iterates(problem, denoiser, weight=weight, levels=levels, multipliers=multipliers),
        num_iter=num_iter,
        name="plug_and_play",
        given=(weight, denoiser),
        noise_rule=with_psf_error,
        **common,
    )


def iterates(
    problem: Problem,
    denoiser: Any = None,
    *,
    weight: float | Tensor = 0.3,
    levels: Sequence[float] | None = None,
    multipliers: bool = False,
) -> Iterator[Tensor]:
    """Latent images of `plug_and_play`."""
    denoise = as_denoiser(denoiser)
    # Others than our own may know the image's unit, as networks do.
    unit, low = torch.ones_like(problem.unit) if denoiser is None else problem.unit, 0.0
    if isinstance(denoiser, nn.Module):
        unit, low = _as_networks_know_it(problem)
    return half_quadratic(
        problem,
        lambda x, noise_level: (_apply(denoise, x * unit - low, noise_level * unit) + low) / unit,
        _noise_levels(problem, levels),
        weight=weight,
        multipliers=multipliers,
        damped=True,
    )


def _as_networks_know_it(problem: Problem) -> tuple[Tensor, Tensor | float]:
    """Unit and offset that bring the samples of an image to [0, 1], which networks were trained on: those of the image
    itself where it is in that range already, about."""
    image = (problem.mean_frame * problem.unit).detach().flatten(1)
    shape = (len(image), *[1] * (problem.space + 1))
    low, high = image.amin(1).view(shape), image.amax(1).view(shape)
    if bool(((low > -_BEYOND) & (high < 1 + _BEYOND)).all()):
        return problem.unit, 0.0
    span = (high - low).clamp_min(torch.finfo(image.dtype).tiny)
    return problem.unit / span, low / span


def _noise_levels(problem: Problem, levels: Sequence[float] | None) -> Iterator[Tensor]:
    """As tensors `(B, 1, 1, 1)`, without end. Channels share theirs: a denoiser sees them together."""
    statistics = problem.statistics
    shape = (len(problem.mean_frame), *[1] * (problem.space + 1))
    if levels is None:
        first, last = (t.mean(1, keepdim=True) for t in (_FIRST * statistics.contrast, statistics.sigma))
        return (noise_level.expand(shape) for noise_level in falling_noise_levels(problem, first, last))
    if len(levels) == 0 or min(levels) <= 0:
        raise ValueError(f"levels: expected positive numbers, given {levels}")
    given = [problem.in_own_unit(noise_level).expand(shape) for noise_level in levels]
    return itertools.chain(given, itertools.repeat(given[-1]))


def _apply(denoise: Denoiser, x: Tensor, noise_level: Tensor) -> Tensor:
    """Denoisers take one number, so samples of different noise are given to them one by one."""
    numbers = noise_level.flatten().tolist()
    if len(set(numbers)) == 1:
        result = denoise(x, numbers[0])
    else:
        result = torch.cat([denoise(sample, number) for sample, number in zip(x.split(1), numbers, strict=True)])
    if not isinstance(result, Tensor) or result.shape != x.shape:
        given = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        raise TypeError(f"denoiser: expected a tensor {tuple(x.shape)} back, given {given}")
    return result
