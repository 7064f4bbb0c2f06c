"""What a camera does to a scene: blur, then noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .arrays import as_image_batch, as_psf
from .convolution import convolve

__all__ = ["degrade"]


def degrade(
    image: Any,
    psf: Any,
    *,
    noise: float | Tensor = 0.0,
    photons: float | None = None,
    boundary: str = "valid",
    seed: int | torch.Generator | None = None,
) -> Any:
    """Blur `image` by `psf` and add noise.

    Parameters
    ----------
    image: array or tensor, see `deconv.imaging.arrays`.
    psf: array or tensor `(kh, kw)`, centred at ``((kh - 1) // 2, (kw - 1) // 2)``; `deconv.imaging.psf` makes
        them.
    noise: standard deviation of white Gaussian noise, as a fraction of full scale (0.01 is 1 %); a tensor
        `(B,)` gives each sample its own.
    photons: how many a pixel of value 1 counts: adds their Poisson noise, of standard deviation
        ``sqrt(value / photons)``. None for none. The blurred image must not be negative.
    boundary: ``"valid"`` (default) keeps what the blurred scene shows without assumptions: the result is
        smaller, by ``kh - 1`` and ``kw - 1``. Others, of the image's size, are listed under
        `deconv.imaging.convolve`.
    seed: an integer or a generator makes the noise reproducible, on every device; None draws it anew.

    Returns
    -------
    An array of the image's kind, layout and dtype: integers are rounded and saturate, floats are not clipped.

    Raises
    ------
    ValueError, TypeError: as `deconv.imaging.convolve`; negative or non-finite noise.

    Examples
    --------
    >>> import numpy as np
    >>> from deconv.imaging.psf import motion
    >>> degrade(np.zeros((64, 80, 3), np.uint8), motion(15), noise=0.01, seed=0).shape
    (64, 66, 3)
    """
    space = 3 if getattr(psf, "ndim", 2) == 3 else 2
    scene, back = as_image_batch(image, space=space)
    blurred = convolve(scene, as_psf(psf, like=scene, space=space), boundary=boundary)
    generator = seed if isinstance(seed, torch.Generator) else torch.Generator()
    if seed is None:
        generator.seed()
    elif generator is not seed:
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
    if not photons > 0:
        raise ValueError(f"photons: expected a positive number, given {photons}")
    lowest = float(blurred.detach().min())
    if lowest < -1e-5:  # the Fourier transform's rounding is below this
        raise ValueError(f"photons: only values of at least 0 can be counted, the blurred image has {lowest:.3g}")
    expected = (blurred.clamp_min(0) * photons).to(generator.device)
    return (torch.poisson(expected, generator=generator) / photons).to(blurred.device)
