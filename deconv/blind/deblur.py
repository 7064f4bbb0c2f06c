"""Restoration of photographs whose blur nobody knows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from ..imaging.noise import estimate_noise
from ..imaging.srgb import to_linear
from ..restore import hyper_laplacian
from .estimate import KernelEstimate, estimate

__all__ = ["deblur", "trusted_noise"]

# No blur of a photograph is exact: what a psf leaves unexplained is not below this share of the contrast. With true
# psfs of camera shake, this is 0.1 to 1.2 dB better than the noise of the sensor alone.
_INEXACT = 0.02


def deblur(
    image: Any,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    estimated: KernelEstimate | None = None,
    sigma: Any = None,
    linear: bool = False,
    progress: bool | None = None,
    **options: Any,
) -> Any:
    """Estimate the psf of a photograph, and restore the photograph with it.

    Parameters
    ----------
    image, kernel_size: as for `estimate`.
    estimated: what `estimate` has found, where that is done already.
    sigma: standard deviation of the noise, in the image's unit; None: estimated, see `trusted_noise`.
    linear: the image is an sRGB photograph: restore its linear light, also when estimating.
    progress: show bars; None: on a terminal.
    options: more of `estimate`.

    Returns
    -------
    The restored image: kind of array, layout, dtype and range of `image`; each channel is restored by itself, and
    clipped highlights are left out of the fit. Where no psf is to be trusted, the image as it was.

    Raises
    ------
    TypeError, ValueError: as `estimate`.
    """
    batch, back = as_image_batch(image)
    seen = to_linear(batch) if linear else batch
    if estimated is None:
        estimated = estimate(seen, kernel_size, sigma=sigma, progress=progress, **options)
    if estimated.warnings:
        return image
    sigma = trusted_noise(seen) if sigma is None else sigma
    restored = hyper_laplacian(batch, estimated.psf, sigma=sigma, mask="auto", linear=linear, progress=progress)
    return back(restored)


def trusted_noise(image: Tensor) -> Tensor:
    """What to take for noise when restoring with an estimated psf, for each channel, `(B, C)`: that of the sensor, and
    never less than a fiftieth of the contrast, for what the psf leaves unexplained."""
    noise = estimate_noise(image.flatten(0, 1)[:, None]).view(image.shape[:2])
    return torch.maximum(noise, _INEXACT * image.std((2, 3), correction=0))
