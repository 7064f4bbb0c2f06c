r"""How noisy an image is, without being told.

White noise is as strong at the highest frequencies as anywhere, and a blurred scene has nothing left there.
The n-th
difference along both axes passes little else: it multiplies the spectrum by :math:`(2 \sin(\omega/2))^n` per
axis. The median of its magnitude is not impressed by the edges that remain (Donoho & Johnstone, 1994, who
took the finest wavelet coefficients; the wavelets' filters are shorter, so more of the scene leaks into
theirs).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .arrays import as_image_batch, per_sample

__all__ = ["estimate_noise"]

# Mean ratio to the truth on photographs blurred by camera shake, motion, defocus or a Gaussian of 0.7 to 2
# pixels at 0.5 % noise, the worst of them: second differences 1.18, fourth 1.05, sixth 1.02; Haar wavelet
# 1.55.
_ORDER = 6

# The median magnitude of a standard normal variable.
_MEDIAN = 0.6744897501960817

# A value taken by more than this share of the pixels, when it is the least or the greatest, is where the
# sensor clips.
_CLIPPED_SHARE = 0.01

# A million pixels give the median to a fifth of a percent; a larger plane is sampled in so many bands of
# rows.
_ENOUGH = 2**20
_BANDS = 16


def estimate_noise(image: Any) -> Any:
    """Standard deviation of the white Gaussian noise in an image.

    Parameters
    ----------
    image: array or tensor, see `deconv.imaging.arrays`. Channels are averaged in variance.

    Returns
    -------
    The standard deviation, as a fraction of full scale (0.01 is 1 %; for floats, in their own unit). A float
    for one image, `(B,)` for a batch.

    Notes
    -----
    Within 2 % of the truth on blurred photographs from 0.5 % noise on. A photograph that is not blurred at
    all is
    overestimated, as fine texture counts as noise: by a quarter or so at 1 %, a tenth at 3 %. Noise that is
    not white is judged by its highest frequencies, so that of JPEG files and of images scaled up is
    underestimated. Where a sensor clips there is no noise, so the places around clipped pixels are left out.

    Examples
    --------
    >>> import torch
    >>> noise = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    >>> round(float(estimate_noise(0.5 + 0.02 * noise)), 3)
    0.02
    """
    batch, _ = as_image_batch(image)
    planes = _bands(batch.detach().flatten(0, 1))
    order = [min(_ORDER, n - 1) for n in planes.shape[2:]]
    details = planes
    for axis, n in enumerate(order, start=2):
        details = torch.diff(details, n=n, dim=axis) / math.sqrt(math.comb(2 * n, n))
    clipped = _clipped(planes)
    if clipped.any():
        touched = F.max_pool2d(clipped.to(planes.dtype), [n + 1 for n in order], stride=1).bool()
        variances = [_variance(plane[~skip]) for plane, skip in zip(details, touched, strict=True)]
    else:
        variances = [_variance(plane) for plane in details]
    return per_sample(torch.stack(variances).view(batch.shape[:2]).mean(1).sqrt(), image)


def _bands(planes: Tensor) -> Tensor:
    """`(N, H, W)` as `(N, bands, rows, W)`: all of it, or evenly spaced bands of a plane with pixels to spare."""
    height, width = planes.shape[1:]
    rows = max(_ENOUGH // (_BANDS * width), _ORDER + 1)
    if _BANDS * rows >= height:
        return planes[:, None]
    starts = [(height - rows) * i // (_BANDS - 1) for i in range(_BANDS)]
    return torch.stack([planes[:, start : start + rows] for start in starts], dim=1)


def _variance(details: Tensor) -> Tensor:
    if details.numel() == 0:
        return details.new_zeros(())
    return (details.abs().median() / _MEDIAN) ** 2


def _clipped(planes: Tensor) -> Tensor:
    """The pixels at the least or greatest value of their plane, where there are too many for chance."""
    mask = torch.zeros_like(planes, dtype=torch.bool)
    for end in (planes.amin((1, 2, 3), keepdim=True), planes.amax((1, 2, 3), keepdim=True)):
        at_end = planes == end
        mask |= at_end & (at_end.float().mean((1, 2, 3), keepdim=True) > _CLIPPED_SHARE)
    return mask
