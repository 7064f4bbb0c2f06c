"""How close a restored image is to the true one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .arrays import as_image_batch, per_sample
from .convolution import convolve
from .psf import gaussian

__all__ = ["psnr", "ssim"]


def psnr(image: Any, truth: Any, *, border: int = 0) -> Any:
    r"""Peak signal-to-noise ratio in decibels, :math:`-10 \log_{10} \text{mean}((x - t)^2)`.

    Parameters
    ----------
    image, truth: arrays or tensors of one shape, see `deconv.imaging.arrays`. The peak is 1: integers are
        divided by their full scale, floats are taken as they are.
    border: pixels to leave out on each side.

    Returns
    -------
    A float for one image (inf where they agree), `(B,)` for a batch, differentiable for tensors.

    Raises
    ------
    ValueError: the shapes differ, or nothing is left within the border.

    >>> import numpy as np
    >>> round(psnr(np.full((8, 8), 0.6), np.full((8, 8), 0.5)), 6)
    20.0
    """
    x, t = _pair(image, truth, border)
    return per_sample(-10 * (x - t).square().mean((1, 2, 3)).log10(), image)


def ssim(image: Any, truth: Any, *, border: int = 0) -> Any:
    """Structural similarity, its mean over the image; 1 where the images agree.

    Means, variances and the covariance are weighted by a Gaussian of 1.5 pixels in windows of 11 x 11 that
    lie within the image; the constants are ``0.01 ** 2`` and ``0.03 ** 2``, the peak is 1. Channels are
    averaged. This is scikit-image's ``structural_similarity(..., gaussian_weights=True,
    use_sample_covariance=False, data_range=1)``.

    Reference: Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE Transactions on Image Processing 13, 2004.

    Parameters, results and errors are those of `psnr`; at least 11 x 11 pixels must be left within the
    border.
    """
    x, t = _pair(image, truth, border)
    if min(x.shape[2:]) < 11:
        raise ValueError(f"image: ssim needs 11 x 11 pixels, given {tuple(x.shape[2:])} within the border")
    window = gaussian(1.5, 11).to(x)
    mean_x, mean_t = convolve(x, window), convolve(t, window)
    var_x = convolve(x * x, window) - mean_x**2
    var_t = convolve(t * t, window) - mean_t**2
    covariance = convolve(x * t, window) - mean_x * mean_t
    light, structure = 0.01**2, 0.03**2
    similarity = ((2 * mean_x * mean_t + light) * (2 * covariance + structure)) / (
        (mean_x**2 + mean_t**2 + light) * (var_x + var_t + structure)
    )
    return per_sample(similarity.mean((1, 2, 3)), image)


def _pair(image: Any, truth: Any, border: int) -> tuple[Tensor, Tensor]:
    """Both as tensors `(B, C, H, W)` of one dtype on the first one's device, without their border."""
    (x, _), (t, _) = as_image_batch(image), as_image_batch(truth, name="truth")
    if x.shape != t.shape:
        raise ValueError(f"truth: its shape {tuple(truth.shape)} differs from the image's, {tuple(image.shape)}")
    height, width = x.shape[2:]
    if border < 0 or 2 * border >= min(height, width):
        raise ValueError(f"border: {border} pixels on each side leave nothing of {height} x {width}")
    dtype = torch.promote_types(x.dtype, t.dtype)
    inside = (..., slice(border, height - border), slice(border, width - border))
    return x[inside].to(dtype), t[inside].to(x.device, dtype)
