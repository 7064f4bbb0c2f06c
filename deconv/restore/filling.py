"""Missing pixels, filled from those around them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["fill"]


def fill(image: Tensor, mask: Tensor, *, space: int | None = None) -> Tensor:
    """The image with its missing pixels filled from their neighbours, coarse to fine.

    space: number of spatial axes, by default all but two.
    """
    mask = mask.expand_as(image)
    if space is not None and image.ndim > space + 2:
        planes = (tensor.flatten(0, -space - 2) for tensor in (image, mask))
        return fill(*planes).view_as(image)
    known, count = image * mask, mask
    if max(image.shape[2:]) > 1:
        window = [min(2, n) for n in image.shape[2:]]
        pool = F.avg_pool2d if len(window) == 2 else F.avg_pool3d
        coarse = [pool(t, window, ceil_mode=True, count_include_pad=False) for t in (known, count)]
        coarse_fill = fill(coarse[0] / coarse[1].clamp_min(1e-6), (coarse[1] > 0).to(image))
        known = known + (1 - count) * F.interpolate(coarse_fill, image.shape[2:], mode="nearest")
    return known
