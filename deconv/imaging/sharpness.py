"""How sharp an image looks, without another one to compare it with."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from .arrays import as_image_batch

__all__ = ["blur_effect"]

# Pixels that the image is averaged over.
_WIDTH = 11


def blur_effect(image: Any) -> float:
    """How much of the differences of neighbours a further blur leaves: from 0, sharp, to 1, blurred.

    Parameters
    ----------
    image : array or Tensor
        One image, see `deconv.imaging.arrays`; the mean of its channels counts.

    Returns
    -------
    float
        The greater of the two axes; 1 for an image of one colour.

    References
    ----------
    Crété, Dolmiere, Ladret and Nicolas, "The blur effect: perception and estimation with a new no-reference perceptual
    blur metric", SPIE Human Vision and Electronic Imaging XII, 2007.

    Examples
    --------
    >>> import torch
    >>> board = torch.arange(24)[:, None] + torch.arange(24) & 1
    >>> blur_effect(board.float()) < 0.2
    True
    """
    batch, _ = as_image_batch(image)
    grey = batch.detach().mean(1, keepdim=True)
    return max(_of_axis(grey), _of_axis(grey.mT))


def _of_axis(grey: Tensor) -> float:
    blurred = F.avg_pool2d(F.pad(grey, (_WIDTH // 2, _WIDTH // 2, 0, 0), "replicate"), (1, _WIDTH), 1)
    before, after = (values.diff(dim=-1).abs()[..., 1:-1, 1:] for values in (grey, blurred))
    total = float(before.sum())
    return 1 - float((before - after).clamp_min(0).sum()) / total if total > 0 else 1.0
