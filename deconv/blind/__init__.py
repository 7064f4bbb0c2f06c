"""Estimation of psfs: from the blurred photograph alone, or with the sharp one at hand.

A blur is called a psf everywhere; "kernel" is left to the public names that the field knows (`kernel_size`,
`KernelEstimate`, `kernel_similarity`, ``deconv estimate-kernel``) and to causal blurs, which are kernels of
`deconv.causal_conv2d`.
"""

from .api import estimate
from .causal import causal_to_psf, fit_causal, sparse_gradients
from .field import estimate_field
from .kernel_estimate import KernelEstimate, NoBlurFound, NoImprovement, UncertainBlur
from .metrics import aligned_psnr, aligned_ssim, error_ratio, kernel_similarity
from .paired import fit
from .restoration import deblur
from .varying import BlurField, estimate_varying

__all__ = [
    "BlurField",
    "KernelEstimate",
    "NoBlurFound",
    "NoImprovement",
    "UncertainBlur",
    "aligned_psnr",
    "aligned_ssim",
    "causal_to_psf",
    "deblur",
    "error_ratio",
    "estimate",
    "estimate_field",
    "estimate_varying",
    "fit",
    "fit_causal",
    "kernel_similarity",
    "sparse_gradients",
]
