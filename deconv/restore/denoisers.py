r"""Denoisers for `plug_and_play`: one of our own, and other people's as they are.

What `plug_and_play` calls is ``denoiser(x, sigma)`` with a tensor `(B, C, H, W)` and a number, as deepinv's models
are called. `as_denoiser` makes such a function of scikit-image's, and `on_arrays` of anything that works on
one image at a time.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..imaging.boundary import crop, extend
from ..ops.dct import dct_matrix

__all__ = ["Denoiser", "as_denoiser", "dct_denoise", "on_arrays"]

Denoiser = Callable[[Tensor, float], Tensor]

_SIZE = 8  # of the blocks
_THRESHOLD = 2.7  # in standard deviations

# A quarter of all grids of blocks, on a lattice that comes to every row and column alike: 0.1 dB from all of them.
_SHIFTS = [(i, j) for i in range(_SIZE) for j in range(_SIZE) if (3 * i + j) % 4 == 0]


def dct_denoise(x: Tensor, sigma: Tensor | float) -> Tensor:
    r"""Remove white noise by shrinking cosine coefficients of overlapping 8 x 8 blocks.

    Twice: a first pass drops coefficients below :math:`2.7\,\sigma`; a second one shrinks those of the noisy image
    by the Wiener factor :math:`p^2 / (p^2 + \sigma^2)` of the first result p. Blocks are averaged with weights
    that favour those with few coefficients left.

    Parameters
    ----------
    x : Tensor
        `(B, C, H, W)`, or volumes, whose slices are denoised one by one.
    sigma : Tensor or float
        Standard deviation of the noise; broadcasts against `x`.

    Returns
    -------
    Tensor
        Of the shape of `x`.

    References
    ----------
    Yu and Sapiro, "DCT image denoising: a simple and effective image denoising algorithm", IPOL 2011. Pilot and
    weights: Dabov, Foi, Katkovnik and Egiazarian, "Image denoising by sparse 3-D transform-domain collaborative
    filtering", IEEE TIP 2007.
    """
    # A block to spare on every side, mirrored, and whole blocks in all.
    margins = [(_SIZE, _SIZE + -n % _SIZE) for n in x.shape[-2:]]
    noisy = extend(x, margins, method="reflect")
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    sigma = sigma.reshape(*sigma.shape, *[1] * (x.ndim + 2 - sigma.ndim)) if sigma.ndim else sigma
    pilot = _shrunk(noisy, noisy, lambda c: (c.abs() > _THRESHOLD * sigma).to(c))
    least = torch.finfo(x.dtype).tiny  # without noise, a coefficient of zero has the gain zero
    return crop(_shrunk(noisy, pilot, lambda c: c.square() / (c.square() + sigma.square()).clamp_min(least)), margins)


def _shrunk(noisy: Tensor, pilot: Tensor, gain: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean over grids of blocks of `noisy`, its coefficients times the gain that those of `pilot` ask for."""
    total, weights = torch.zeros_like(noisy), torch.zeros_like(noisy)
    basis = dct_matrix(_SIZE).to(noisy)
    for shift in _SHIFTS:
        coefficients = _coefficients(noisy.roll(shift, (-2, -1)), basis)
        known = coefficients if pilot is noisy else _coefficients(pilot.roll(shift, (-2, -1)), basis)
        gains = gain(known)
        gains[..., 0, 0] = 1
        weight = 1 / gains.square().sum((-2, -1), keepdim=True)
        blocks = basis.T @ (coefficients * (gains * weight)) @ basis
        back = (-shift[0], -shift[1])
        total += _tiled(blocks).roll(back, (-2, -1))
        weights += _tiled(weight.expand_as(blocks)).roll(back, (-2, -1))
    return total / weights


def _coefficients(x: Tensor, basis: Tensor) -> Tensor:
    """Cosine coefficients of the blocks, `(..., rows, columns, 8, 8)`."""
    h, w = x.shape[-2:]
    blocks = x.reshape(*x.shape[:-2], h // _SIZE, _SIZE, w // _SIZE, _SIZE).transpose(-3, -2)
    return basis @ blocks @ basis.T


def _tiled(blocks: Tensor) -> Tensor:
    """The image that the blocks make."""
    rows, columns = blocks.shape[-4:-2]
    return blocks.transpose(-3, -2).reshape(*blocks.shape[:-4], rows * _SIZE, columns * _SIZE)


def on_arrays(denoise: Callable[..., Any]) -> Denoiser:
    """Make a denoiser of a function of one image: ``denoise(image, sigma)`` on arrays `H x W` or `H x W x C`."""

    def denoiser(x: Tensor, sigma: float) -> Tensor:
        images = x.detach().cpu().movedim(1, -1).numpy()
        results = [denoise(image[..., 0] if x.shape[1] == 1 else image, sigma) for image in images]
        stack = torch.from_numpy(np.stack(results)).to(x)
        return stack.unsqueeze(1) if x.shape[1] == 1 else stack.movedim(-1, 1)

    return denoiser


def _where_it_is(network: nn.Module) -> Denoiser:
    """A network whose weights need not have the image's dtype, nor be on its device."""

    def denoiser(x: Tensor, sigma: float) -> Tensor:
        numbers = (t for t in itertools.chain(network.parameters(), network.buffers()) if t.is_floating_point())
        own = next(numbers, x)
        result = network(x.to(own.device, own.dtype), sigma)
        return result.to(x) if isinstance(result, Tensor) else result

    return denoiser


# What the functions of scikit-image call the noise level.
_SKIMAGE: dict[str, Callable[[float], dict[str, Any]]] = {
    "denoise_bilateral": lambda sigma: {"sigma_color": 2 * sigma, "sigma_spatial": 1.5},
    "denoise_nl_means": lambda sigma: {
        "sigma": sigma,
        "h": 0.8 * sigma,
        "patch_size": 5,
        "patch_distance": 6,
        "fast_mode": True,
    },
    "denoise_tv_bregman": lambda sigma: {"weight": 1.4 / sigma},
    "denoise_tv_chambolle": lambda sigma: {"weight": 0.7 * sigma},
    # Haar wavelets, its default, leave blocks: half the gain of these.
    "denoise_wavelet": lambda sigma: {"sigma": sigma, "wavelet": "sym4", "rescale_sigma": False},
}


def as_denoiser(denoiser: Any) -> Denoiser:
    """Make ``denoiser(x, sigma)`` of what people have.

    Parameters
    ----------
    denoiser : callable or None
        None for `dct_denoise`; one of scikit-image's ``denoise_*`` functions that know a noise level (bilateral,
        nl_means, tv_bregman, tv_chambolle, wavelet), or a ``functools.partial`` of one, whose keywords are kept; any
        other callable is taken to be ``denoiser(x, sigma)`` already. A network sees the image in its own
        dtype and on its own device.

    Returns
    -------
    callable
        ``denoiser(x, sigma)``, of a tensor `(B, C, H, W)` and a number.

    Raises
    ------
    TypeError
        It is not callable.
    ValueError
        A function of scikit-image that knows no noise level.
    """
    if denoiser is None:
        return dct_denoise
    if not callable(denoiser):
        raise TypeError(f"denoiser: expected a callable denoiser(x, sigma), given {type(denoiser).__name__}")
    if isinstance(denoiser, nn.Module):
        return _where_it_is(denoiser)
    function, kept = denoiser, {}
    if isinstance(denoiser, functools.partial):
        function, kept = denoiser.func, denoiser.keywords
    if not (getattr(function, "__module__", None) or "").startswith("skimage."):
        return cast(Denoiser, denoiser)
    name = function.__name__
    if name not in _SKIMAGE:
        raise ValueError(
            f"denoiser: skimage's {name} has no noise level; allowed are {', '.join(_SKIMAGE)}, "
            "or wrap it with on_arrays"
        )
    has_channels = "channel_axis" in inspect.signature(function).parameters

    def denoise(image: np.ndarray, sigma: float) -> np.ndarray:
        keywords = _SKIMAGE[name](sigma) | kept
        if has_channels and image.ndim == 3:
            keywords.setdefault("channel_axis", -1)
        # Some refuse negative values; none minds where zero is.
        floor = image.min()
        return denoiser(image - floor, **keywords) + floor

    return on_arrays(denoise)
