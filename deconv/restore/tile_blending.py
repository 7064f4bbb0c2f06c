"""Tiles of an image, and how they are joined."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from .arguments import space_of
from .streaming_statistics import crop_to, rectangle

__all__ = ["blend", "equal_pieces"]


def equal_pieces(n: int, size: int) -> list[tuple[int, int]]:
    """n pixels in pieces as equal as possible, `size` at most."""
    count = -(-n // size)
    ends = [n * i // count for i in range(count + 1)]
    return list(itertools.pairwise(ends))


def blend(
    out: Any,
    axes: Sequence[int],
    channel_axis: int | None,
    own: Sequence[tuple[int, int]],
    seen: Sequence[tuple[int, int]],
    frame: Sequence[int],
    widths: Sequence[int],
    restored: Tensor,
) -> None:
    """Lay a restored piece over what is there: all of it inside, less and less across the borders to earlier tiles.

    The blending takes the inner half of the overlap, and so many pixels at most; the rest is dropped.
    """
    kept, ramps = [], []
    for (a, b), (low, high), n, width in zip(own, seen, frame, widths, strict=True):
        before, after = min((a - low) // 2, width), min((high - b) // 2, width)
        start, stop = (a - before if a else 0), (b + after if b < n else n)
        kept.append((start, stop))
        place = torch.arange(start, stop, dtype=restored.dtype, device=restored.device)
        ramp = ((place - start + 0.5) / max(a + before - start, 1)).clamp_max(1) if a else torch.ones_like(place)
        ramps.append(0.5 - 0.5 * torch.cos(torch.pi * ramp))
    inside = [(a - low, b - low) for (a, b), (low, _) in zip(kept, seen, strict=True)]
    restored = crop_to(restored, range(2, restored.ndim), inside)
    share = restored.new_ones(())
    for ramp in ramps:
        share = share.unsqueeze(-1) * ramp
    # What no earlier tile has written may hold anything.
    out[rectangle(axes, [(2 * a - start, stop) for (a, _), (start, stop) in zip(own, kept, strict=True)])] = 0
    place = rectangle(axes, kept)
    earlier, back = as_image_batch(out[place], space=space_of(restored), name="out", channel_axis=channel_axis)
    out[place] = back(torch.lerp(earlier.to(restored), restored, share).to(earlier.device))
