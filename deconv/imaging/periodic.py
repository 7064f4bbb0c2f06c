r"""Images made periodic, for methods that divide by a transfer function: how far to pad them, or how to taper them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .boundary import Margins
from .convolution import convolve, fast_length

__all__ = ["edgetaper", "padded_margins"]

# Rows between the last one and the first one of the next period even where the psf is narrow: regularisation reaches
# across them too.
_LEAST_GAP = 8


def padded_margins(frame: Sequence[int], size: Sequence[int], *, spread: float = 1.0) -> Margins:
    """Margins around a frame for a blur of the given size, so that the padded lengths are ones an FFT is quick at.

    Parameters
    ----------
    frame : sequence of int
        The observation's `(H, W)` or `(D, H, W)`.
    size : sequence of int
        The psf's, as many numbers.
    spread : float
        How many sizes of the psf to add along each axis at least, in all. From 1 on, no observed pixel is blurred from
        the other side of the frame.

    Returns
    -------
    tuple of pairs of int
        ``((top, bottom), (left, right))``, as `deconv.imaging.extend` takes them.

    Examples
    --------
    >>> padded_margins((498, 498), (15, 15))
    ((21, 21), (21, 21))
    """
    pairs = []
    for n, s in zip(frame, size, strict=True):
        extra = fast_length(n + max(_LEAST_GAP, math.ceil(spread * s))) - n
        pairs.append((extra // 2, extra - extra // 2))
    return tuple(pairs)


def edgetaper(image: Tensor, psf: Tensor) -> Tensor:
    r"""Blend `image` towards its own periodic blur near the borders, which hides the jump to the next period.

    .. math:: \alpha y + (1 - \alpha)(h * y), \qquad
        \alpha = \prod_{\text{axes}} \Big( 1 - \frac{\rho(p)}{\rho(0)} \Big)

    with the periodic autocorrelation :math:`\rho` of the psf's projection on each axis: 0 on the border, 1 as far
    inside as the psf reaches. The image keeps its size; the border is lost to the taper, which is why
    `deconv.imaging.extend` restores better.

    Parameters
    ----------
    image : Tensor
        `(B, C, H, W)` or `(B, C, D, H, W)`, floating point.
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`.

    Returns
    -------
    Tensor
        Of the image's shape and dtype.
    """
    space = psf.ndim
    blurred = convolve(image, psf, boundary="circular")
    alpha = image.new_ones(())
    for axis in range(space):
        n = image.shape[axis - space]
        profile = psf.sum([a for a in range(space) if a != axis]) if space > 1 else psf
        spectrum = torch.fft.rfft(_wrapped(profile, n)).abs().square()
        correlation = torch.fft.irfft(spectrum, n=n).to(image.dtype)
        # The two border rows are neighbours on the torus; alpha is zero on both.
        lag = torch.arange(n, device=image.device)
        lag = torch.minimum(lag, n - 1 - lag)
        taper = 1 - correlation[lag] / correlation[0]
        alpha = alpha * taper.reshape([-1] + [1] * (space - 1 - axis))
    return alpha * image + (1 - alpha) * blurred


def _wrapped(profile: Tensor, n: int) -> Tensor:
    return profile.new_zeros(n).index_add(0, torch.arange(len(profile), device=profile.device) % n, profile)
