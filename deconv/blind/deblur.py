"""Restoration of photographs whose blur nobody knows."""

from __future__ import annotations

from typing import Any

from ..imaging.arrays import as_image_batch
from ..restore import hyper_laplacian
from ..restore.light import to_linear
from .estimate import KernelEstimate, estimate

__all__ = ["deblur"]


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
    sigma: standard deviation of the noise, in the image's unit; None: estimated.
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
    if estimated is None:
        seen = to_linear(batch) if linear else batch
        estimated = estimate(seen, kernel_size, sigma=sigma, progress=progress, **options)
    if estimated.warnings:
        return image
    restored = hyper_laplacian(batch, estimated.psf, sigma=sigma, mask="auto", linear=linear, progress=progress)
    return back(restored)
