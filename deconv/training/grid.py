"""Many small images as one picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["grid"]


def grid(images: Tensor, *, columns: int | None = None, gap: int = 1) -> Tensor:
    """Images in rows, with white lines between them.

    Parameters
    ----------
    images : Tensor
        `(N, C, H, W)`; values outside [0, 1] saturate.
    columns : int, optional
        By default as many as rows, or one more.
    gap : int
        Width of the lines, in pixels.

    Returns
    -------
    Tensor
        `(C, height, width)`.
    """
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = images.new_ones(channels, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for number, image in enumerate(images):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return torch.clamp(sheet, 0, 1)
