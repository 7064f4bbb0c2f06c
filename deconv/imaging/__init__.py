"""Images and blurs: psfs, degradation, noise, metrics, arrays and files."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from . import psf
    from .arrays import as_image_batch, as_psf
    from .boundary import crop, extend
    from .convolution import convolve, convolve_adjoint, fast_length, psf_to_otf, valid_margins
    from .degradation import degrade
    from .files import read_image, write_image
    from .metrics import psnr, ssim
    from .noise import estimate_noise
    from .periodic import edgetaper
    from .stacks import read_stack, write_stack
    from .viewing import view

__all__ = [
    "as_image_batch",
    "as_psf",
    "convolve",
    "convolve_adjoint",
    "crop",
    "degrade",
    "edgetaper",
    "estimate_noise",
    "extend",
    "fast_length",
    "psf",
    "psf_to_otf",
    "psnr",
    "read_image",
    "read_stack",
    "ssim",
    "valid_margins",
    "view",
    "write_image",
    "write_stack",
]

_MODULES = (
    "arrays",
    "boundary",
    "convolution",
    "degradation",
    "files",
    "formats",
    "metrics",
    "noise",
    "periodic",
    "psf",
    "srgb",
    "stacks",
    "viewing",
)

__getattr__ = lazy_names(__name__, _MODULES, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
