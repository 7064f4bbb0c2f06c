"""Estimation of psfs: from the blurred photograph alone, or with the sharp one at hand."""

from .causal import fit_causal, sparse_gradients
from .deblur import deblur
from .estimate import KernelEstimate, estimate
from .field import estimate_field
from .metrics import aligned_psnr, aligned_ssim, error_ratio, kernel_similarity
from .paired import fit

__all__ = [
    "KernelEstimate",
    "aligned_psnr",
    "aligned_ssim",
    "deblur",
    "error_ratio",
    "estimate",
    "estimate_field",
    "fit",
    "fit_causal",
    "kernel_similarity",
    "sparse_gradients",
]
