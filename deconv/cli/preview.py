"""The most detailed part of a picture, restored in seconds, beside what it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .source import Source

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_preview", "detailed_part", "write_pair"]

# Pixels on each side, and between before and after; how many places are looked at along a side of it.
_SIDE, _GAP, _PLACES = 512, 8, 8


def check_preview(photograph: Source, output: Path) -> None:
    """Raise now what would be wrong with the pair."""
    from ..imaging.files import check_writable

    if photograph.volume is not None:
        raise ValueError("--preview: is for pictures, and this is a stack")
    check_writable(output)


def detailed_part(photograph: Source) -> Source:
    """The square of the greatest mean gradient; a picture that is no larger as it is."""
    import torch.nn.functional as F

    grey = photograph.batch.mean(1, keepdim=True)
    height, width = (min(_SIDE, n) for n in grey.shape[2:])
    down, right = grey[..., 1:, :-1] - grey[..., :-1, :-1], grey[..., :-1, 1:] - grey[..., :-1, :-1]
    step = _SIDE // _PLACES
    detail = F.avg_pool2d(down.abs() + right.abs(), (height - 1, width - 1), step)
    place = int(detail.flatten().argmax())
    top, left = (step * i for i in divmod(place, detail.shape[-1]))
    return photograph.part(slice(top, top + height), slice(left, left + width))


def write_pair(path: Path, before: Tensor, after: Tensor) -> None:
    """Two pictures `(1, C, H, W)`, values above white are white."""
    import torch

    from ..imaging import write_image

    gap = before.new_ones(*before.shape[:3], _GAP)
    write_image(path, torch.cat([before, gap, after.to(before)], -1)[0].clamp(0, 1), bits=8)
