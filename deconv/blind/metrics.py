"""Quality of an estimated psf, and of an image restored with it, up to a shift.

Shifting the psf one way and the latent image the other way explains an observation as well, so that no blind method
can know where either belongs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..foreign_arrays import as_tensor
from ..imaging.arrays import as_image_batch
from ..imaging.convolution import fast_length
from ..imaging.metrics import psnr, ssim

__all__ = ["aligned_psnr", "aligned_ssim", "error_ratio", "kernel_similarity"]

_STEP = 0.25  # of the search for the best shift, in pixels
_ZOOM = 8  # of the correlation of psfs


def aligned_psnr(image: Any, truth: Any, *, border: int = 15, reach: int = 10) -> float:
    """Peak signal-to-noise ratio at the best shift.

    Parameters
    ----------
    image, truth : array_like
        One image each, of one shape; see `deconv.imaging.arrays`.
    border : int
        Pixels of `truth` to leave out on each side.
    reach : int
        How far to shift `image`, in pixels to each side; in steps of a quarter, bilinearly. At most `border`: the image
        has no pixels beyond it.

    Returns
    -------
    float
        In decibels.

    Raises
    ------
    ValueError
        The shapes differ, the reach is beyond the border, or the border leaves nothing.
    """
    return float(psnr(*_aligned(image, truth, border, reach)))


def aligned_ssim(image: Any, truth: Any, *, border: int = 15, reach: int = 10) -> float:
    """Structural similarity at the shift of least squared error.

    Parameters
    ----------
    image, truth : array_like
        As for `aligned_psnr`.
    border, reach : int
        As for `aligned_psnr`.

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    ValueError
        As `aligned_psnr`.
    """
    return float(ssim(*_aligned(image, truth, border, reach)))


def error_ratio(image: Any, reference: Any, truth: Any, *, border: int = 15, reach: int = 10) -> float:
    """Squared error of an image over that of a reference, each at its best shift.

    Parameters
    ----------
    image : array_like
        Restored with the estimated psf.
    reference : array_like
        Restored with the true one, by the same method.
    truth : array_like
        The sharp image.
    border, reach : int
        As for `aligned_psnr`.

    Returns
    -------
    float
        Up to 2 or 3 the two look alike.

    Raises
    ------
    ValueError
        As `aligned_psnr`.

    References
    ----------
    Levin, Weiss, Durand and Freeman, "Understanding and evaluating blind deconvolution algorithms", CVPR 2009.
    """
    quality = [aligned_psnr(each, truth, border=border, reach=reach) for each in (image, reference)]
    return 10 ** ((quality[1] - quality[0]) / 10)


def kernel_similarity(psf: Any, truth: Any) -> float:
    r"""Greatest normalised cross-correlation of two psfs.

    .. math:: \max_s \frac{\sum_p h(p)\, t(p + s)}{\|h\| \, \|t\|}

    over shifts s in steps of an eighth of a pixel.

    Parameters
    ----------
    psf, truth : array_like
        `(kh, kw)`, of any sizes and sums.

    Returns
    -------
    float
        1 for psfs of one shape.

    Raises
    ------
    TypeError, ValueError
        Not two arrays of two axes with finite values, some of them other than zero.

    References
    ----------
    Hu and Yang, "Good regions to deblur", ECCV 2012.
    """
    a, b = _taps(psf, "psf"), _taps(truth, "truth")
    grid = [fast_length(n + m) for n, m in zip(a.shape, b.shape, strict=True)]
    spectrum = torch.fft.fft2(a, s=grid) * torch.fft.fft2(b, s=grid).conj()
    fine = torch.zeros([_ZOOM * n for n in grid], dtype=spectrum.dtype)
    half = [n // 2 for n in grid]
    fine[: grid[0], : grid[1]] = torch.fft.fftshift(spectrum)
    correlation = torch.fft.ifft2(fine.roll((-half[0], -half[1]), (0, 1))).real * _ZOOM**2
    return float(correlation.max() / (a.norm() * b.norm()))


def _taps(psf: Any, name: str) -> Tensor:
    taps = as_tensor(psf, name=name)[0].detach().cpu()
    if taps.ndim != 2 or not taps.any() or not taps.isfinite().all():
        given = f"the shape {tuple(taps.shape)}" if taps.ndim != 2 else "zeros, or NaN or infinite values"
        raise ValueError(f"{name}: expected (kh, kw), finite and not all zero, given {given}")
    return taps.double()


def _aligned(image: Any, truth: Any, border: int, reach: int) -> tuple[Tensor, Tensor]:
    """The shifted image and the truth, within the border."""
    (x, _), (t, _) = as_image_batch(image), as_image_batch(truth, name="truth")
    if x.shape != t.shape or len(x) != 1:
        raise ValueError(f"truth: expected one image of the shape {tuple(image.shape)}, given {tuple(truth.shape)}")
    if not 0 <= reach <= border:
        raise ValueError(f"reach: expected at least 0 and at most the border, {border}, given {reach}")
    height, width = x.shape[2:]
    if 2 * border >= min(height, width):
        raise ValueError(f"border: {border} pixels on each side leave nothing of {height} x {width}")
    inside = t[..., border : height - border, border : width - border].to(x)

    def error(shift: tuple[float, float]) -> float:
        return float((_shifted(x, shift, border) - inside).square().mean())

    whole = range(-reach, reach + 1)
    best = min(((float(i), float(j)) for i in whole for j in whole), key=error)
    steps = [_STEP * i for i in range(-3, 4)]
    nearby = [(best[0] + i, best[1] + j) for i in steps for j in steps]
    best = min((s for s in nearby if max(map(abs, s)) <= reach), key=error)
    return _shifted(x, best, border), inside


def _shifted(image: Tensor, shift: tuple[float, float], border: int) -> Tensor:
    """The image within the border, moved by the shift, bilinearly."""
    for axis, by in zip((-2, -1), shift, strict=True):
        n = image.shape[axis] - 2 * border
        first = border + int(by // 1)
        part = by % 1
        here = image.narrow(axis, first, n)
        image = here if part == 0 else torch.lerp(here, image.narrow(axis, first + 1, n), part)
    return image
