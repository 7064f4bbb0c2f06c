"""How close a restored image is to the true one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .arrays import as_image_batch, per_sample
from .convolution import convolve
from .psf import gaussian

__all__ = ["psnr", "ssim"]


def psnr(image: Any, truth: Any, *, border: int = 0, channel_axis: int | None = None) -> Any:
    r"""Peak signal-to-noise ratio in decibels, :math:`-10 \log_{10} \text{mean}((x - t)^2)`.

    Parameters
    ----------
    image, truth : array or Tensor
        Of one shape, see `deconv.imaging.arrays`; volumes `D x H x W`, too, without a border. The peak is 1: integers
        are divided by their full scale, floats are taken as they are.
    border : int
        Pixels to leave out on each side.
    channel_axis : int, optional
        Which axis counts the channels; by default as `deconv.imaging.arrays` lists.

    Returns
    -------
    float or array or Tensor
        Decibels: a float for one image (inf where they agree), `(B,)` for a batch, differentiable for tensors.

    Raises
    ------
    ValueError
        The shapes differ, or nothing is left within the border.

    Examples
    --------
    >>> import numpy as np
    >>> round(psnr(np.full((8, 8), 0.6), np.full((8, 8), 0.5)), 6)
    20.0
    """
    x, t = _pair(image, truth, border, channel_axis, check_order=border > 0)
    return per_sample(-10 * (x - t).square().mean((1, 2, 3)).log10(), image)


def ssim(image: Any, truth: Any, *, border: int = 0, channel_axis: int | None = None) -> Any:
    r"""Structural similarity, its mean over the image; 1 where the images agree.

    .. math:: \frac{2 \mu_x \mu_t + c_1}{\mu_x^2 + \mu_t^2 + c_1} \cdot
        \frac{2 \sigma_{xt} + c_2}{\sigma_x^2 + \sigma_t^2 + c_2}

    Means, variances and the covariance are weighted by a Gaussian of 1.5 pixels in windows of 11 x 11 that lie within
    the image; the constants are ``0.01 ** 2`` and ``0.03 ** 2``, the peak is 1. Channels are averaged. This is
    scikit-image's ``structural_similarity(..., gaussian_weights=True, use_sample_covariance=False, data_range=1)``.

    Parameters
    ----------
    image, truth : array or Tensor
        As for `psnr`.
    border : int
        Pixels to leave out on each side.
    channel_axis : int, optional
        As for `psnr`.

    Returns
    -------
    float or array or Tensor
        A float for one image, `(B,)` for a batch, differentiable for tensors.

    Raises
    ------
    ValueError
        The shapes differ, or fewer than 11 x 11 pixels are left within the border.

    References
    ----------
    Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE
    Transactions on Image Processing 13, 2004.
    """
    x, t = _pair(image, truth, border, channel_axis)
    if min(x.shape[2:]) < 11:
        raise ValueError(f"image: ssim needs 11 x 11 pixels, given {tuple(x.shape[2:])} within the border")
    window = gaussian(1.5, 11).to(x)
    mean_x, mean_t = convolve(x, window), convolve(t, window)
    var_x = convolve(x * x, window) - mean_x**2
    var_t = convolve(t * t, window) - mean_t**2
    covariance = convolve(x * t, window) - mean_x * mean_t
    c1, c2 = 0.01**2, 0.03**2
    similarity = ((2 * mean_x * mean_t + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_t**2 + c1) * (var_x + var_t + c2)
    )
    return per_sample(similarity.mean((1, 2, 3)), image)


def _pair(
    image: Any, truth: Any, border: int, channel_axis: int | None, *, check_order: bool = True
) -> tuple[Tensor, Tensor]:
    """Both as tensors `(B, C, H, W)` of one dtype on the first one's device, without their border."""
    x, _ = as_image_batch(image, check_order=check_order, channel_axis=channel_axis)
    t, _ = as_image_batch(truth, name="truth", check_order=check_order, channel_axis=channel_axis)
    if x.shape != t.shape:
        raise ValueError(f"truth: its shape {tuple(truth.shape)} differs from the image's, {tuple(image.shape)}")
    height, width = x.shape[2:]
    if border < 0 or 2 * border >= min(height, width):
        raise ValueError(f"border: {border} pixels on each side leave nothing of {height} x {width}")
    dtype = torch.promote_types(x.dtype, t.dtype)
    inside = (..., slice(border, height - border), slice(border, width - border))
    return x[inside].to(dtype), t[inside].to(x.device, dtype)
