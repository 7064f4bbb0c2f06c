"""What a camera does to an image: blur, then noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .arrays import as_image_batch, as_psf
from .boundary import BlurBoundary
from .convolution import convolve

__all__ = ["degrade"]


def degrade(
    image: Any,
    psf: Any,
    *,
    noise: float | Tensor = 0.0,
    photons: float | None = None,
    boundary: BlurBoundary = "valid",
    seed: int | torch.Generator | None = None,
    channel_axis: int | None = None,
) -> Any:
    r"""Blur `image` by `psf` and add noise.

    .. math:: y = \text{Poisson}(N\, h * x) / N + \sigma n

    with N `photons`, where they are given, and white Gaussian n of standard deviation 1.

    Parameters
    ----------
    image : array or Tensor
        See `deconv.imaging.arrays`.
    psf : array or Tensor
        `(kh, kw)`, or `(kd, kh, kw)` for a volume, centred at ``((kh - 1) // 2, (kw - 1) // 2)``; `deconv.imaging.psf`
        makes them.
    noise : float or Tensor
        Standard deviation of white Gaussian noise, as a fraction of full scale (0.01 is 1 %); a tensor `(B,)` gives
        each sample its own.
    photons : float, optional
        How many a pixel of value 1 counts: adds their Poisson noise, of standard deviation ``sqrt(value / photons)``.
        The blurred image must not be negative.
    boundary : {"valid", "circular", "reflect", "replicate", "zero"}
        ``"valid"`` keeps what the blurred image shows without assumptions: the result is smaller, by ``kh - 1`` and
        ``kw - 1``. The others, see `deconv.imaging.convolve`, keep the size.
    seed : int or torch.Generator, optional
        Makes the noise reproducible, on every device; None draws it anew.
    channel_axis : int, optional
        Which axis counts the channels; by default as `deconv.imaging.arrays` lists.

    Returns
    -------
    array or Tensor
        Of the image's kind, layout and dtype: integers are rounded and saturate, floats are not clipped.

    Raises
    ------
    ValueError
        As `deconv.imaging.convolve`; negative or non-finite noise.
    TypeError
        Not an array of real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from deconv.imaging.psf import motion
    >>> degrade(np.zeros((64, 80, 3), np.uint8), motion(15), noise=0.01, seed=0).shape
    (64, 66, 3)
    """
    space = 3 if getattr(psf, "ndim", 2) == 3 else 2
    batch, back = as_image_batch(image, space=space, channel_axis=channel_axis)
    blurred = convolve(batch, as_psf(psf, like=batch, space=space), boundary=boundary)
    if isinstance(seed, torch.Generator):
        generator = seed
    else:
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
    if photons is not None:
        blurred = _counted(blurred, photons, generator)
    sigma = torch.as_tensor(noise, dtype=blurred.dtype, device=blurred.device)
    if not (torch.isfinite(sigma).all() and (sigma >= 0).all()):
        raise ValueError(f"noise: expected a standard deviation of at least 0, given {noise}")
    if sigma.ndim and sigma.shape != blurred.shape[:1]:
        raise ValueError(f"noise: expected one value or {len(blurred)}, given {tuple(sigma.shape)}")
    if sigma.any():
        # Drawn on the generator's device, so that a seed means the same noise wherever the image is.
        white = torch.randn(blurred.shape, generator=generator, dtype=blurred.dtype, device=generator.device)
        blurred = blurred + sigma.reshape(-1, *[1] * (space + 1)) * white.to(blurred.device)
    return back(blurred)


def _counted(blurred: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    """The image as photons are counted, in units of `photons`."""
    if not photons > 0:
        raise ValueError(f"photons: expected a positive number, given {photons}")
    lowest = float(blurred.detach().min())
    if lowest < -1e-5:  # the Fourier transform's rounding is below this
        raise ValueError(f"photons: only values of at least 0 can be counted, the blurred image has {lowest:.3g}")
    expected = (blurred.clamp_min(0) * photons).to(generator.device)
    return (torch.poisson(expected, generator=generator) / photons).to(blurred.device)
