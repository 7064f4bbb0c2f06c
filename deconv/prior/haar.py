"""One level of the Haar transform: an image as its means over 2 x 2 pixels and what they leave out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

__all__ = ["analyse", "synthesise"]


def analyse(image: Tensor) -> tuple[Tensor, Tensor]:
    """Split an image into a low band and details. Orthonormal: white noise stays white.

    Parameters
    ----------
    image : Tensor
        `(B, 1, H, W)`, H and W even.

    Returns
    -------
    low : Tensor
        Twice the mean of each 2 x 2 block, `(B, 1, H / 2, W / 2)`.
    details : Tensor
        Differences of rows, of columns and of diagonals, `(B, 3, H / 2, W / 2)`.

    References
    ----------
    Mallat, "A theory for multiresolution signal decomposition: the wavelet representation", IEEE TPAMI 1989.
    """
    a, b, c, d = pixel_unshuffle(image, 2).chunk(4, 1)
    details = torch.cat([a + b - c - d, a - b + c - d, a - b - c + d], 1)
    return (a + b + c + d) / 2, details / 2


def synthesise(low: Tensor, details: Tensor) -> Tensor:
    """The inverse of `analyse`."""
    rows, columns, diagonals = details.chunk(3, 1)
    up, down = low + rows, low - rows
    left, right = columns + diagonals, columns - diagonals
    return pixel_shuffle(torch.cat([up + left, up - left, down + right, down - right], 1) / 2, 2)
