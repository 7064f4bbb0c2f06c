"""Where the taps of a causal kernel lie: supports, anchors, corners, padding.

Everything is written for corner ``"tl"``. The other corners are the same operator on a flipped image, with the
kernel stored in the flipped frame as well, so that only the image is ever flipped. This module is the one place
that knows it.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = [
    "CORNERS",
    "SUPPORTS",
    "Corner",
    "Support",
    "anchor_column",
    "flip",
    "is_flipped",
    "opposite",
    "padding",
    "support_mask",
    "transpose_weight",
]

Corner = Literal["tl", "tr", "bl", "br"]
Support = Literal["quarter", "half"]

CORNERS: tuple[Corner, ...] = get_args(Corner)
SUPPORTS: tuple[Support, ...] = get_args(Support)

_OPPOSITE: dict[Corner, Corner] = {"tl": "br", "tr": "bl", "bl": "tr", "br": "tl"}


def is_flipped(corner: Corner) -> tuple[bool, bool]:
    """``(rows, columns)``: which image axes `corner` flips to become ``"tl"``."""
    return corner[0] == "b", corner[1] == "r"


def flip(image: Tensor, corner: Corner) -> Tensor:
    """The image `(..., H, W)` as seen from `corner`; its own inverse. ``"tl"`` returns the tensor itself."""
    dims = [axis for axis, flipped in zip((-2, -1), is_flipped(corner), strict=True) if flipped]
    return torch.flip(image, dims) if dims else image


def opposite(corner: Corner) -> Corner:
    """The corner of the transposed operator: both image axes reversed."""
    return _OPPOSITE[corner]


def anchor_column(kernel_width: int, support: Support) -> int:
    """Column of the anchor tap in the last kernel row: the last one (quarter plane) or the middle (half plane)."""
    return kernel_width - 1 if support == "quarter" else kernel_width // 2


def padding(
    kernel_height: int, kernel_width: int, support: Support, corner: Corner = "tl"
) -> tuple[int, int, int, int]:
    """Zeros to add ``(left, right, top, bottom)`` so that a valid correlation gives the causal convolution."""
    left = anchor_column(kernel_width, support)
    right, top, bottom = kernel_width - 1 - left, kernel_height - 1, 0
    flip_rows, flip_columns = is_flipped(corner)
    if flip_columns:
        left, right = right, left
    if flip_rows:
        top, bottom = bottom, top
    return left, right, top, bottom


def support_mask(kernel_height: int, kernel_width: int, support: Support, device: torch.device | None = None) -> Tensor:
    """Boolean `(kh, kw)`: the taps that exist. In the half plane those right of the anchor do not."""
    mask = torch.ones(kernel_height, kernel_width, dtype=torch.bool, device=device)
    mask[-1, anchor_column(kernel_width, support) + 1 :] = False
    return mask


def transpose_weight(weight: Tensor, groups: int) -> Tensor:
    """Kernel of the transposed operator, to be used from the `opposite` corner: channel axes swapped per group."""
    out, inner, kh, kw = weight.shape
    grouped = weight.reshape(groups, out // groups, inner, kh, kw)
    return grouped.transpose(1, 2).reshape(groups * inner, out // groups, kh, kw)
