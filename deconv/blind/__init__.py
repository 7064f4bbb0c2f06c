"""Estimation of psfs: from the blurred photograph alone."""

from .deblur import deblur
from .estimate import KernelEstimate, estimate
from .metrics import aligned_psnr, aligned_ssim, error_ratio, kernel_similarity

__all__ = [
    "KernelEstimate",
    "aligned_psnr",
    "aligned_ssim",
    "deblur",
    "error_ratio",
    "estimate",
    "kernel_similarity",
]
