"""Several frames of one latent image, as people give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .statistics import Statistics

__all__ = ["Observation", "frames_of", "one_for_each", "stacked", "stacked_psfs"]


@dataclass(frozen=True)
class Observation:
    """What was observed, as tensors; several frames along one more axis in front.

    Attributes
    ----------
    image : Tensor
        `(B, C, H, W)` or `(B, C, D, H, W)`.
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, or either behind two axes that broadcast against B and C.
    mask : Tensor or None
        The weight of each pixel, broadcasts against `image`; None where all count.
    clipped : Tensor or None
        See `deconv.imaging.clipping.clipped_ends`.
    statistics : Statistics or None
        Of the image, where they had to be measured already.
    """

    image: Tensor
    psf: Tensor
    mask: Tensor | None
    clipped: Tensor | None
    statistics: Statistics | None = None


def frames_of(image: Any, frames: bool) -> list[Any] | None:
    """The frames of a list, or along the first axis of a batch where `frames` says so; None for one image.

    Raises
    ------
    ValueError
        No frame, or frames of different shapes.
    """
    listed = isinstance(image, list | tuple)
    if not listed and not frames:
        return None
    if not listed and getattr(image, "ndim", 0) < 3:
        raise ValueError(
            "frames: expected a list of images, or a batch with one more axis in front; given "
            + (f"the shape {tuple(image.shape)}" if hasattr(image, "shape") else type(image).__name__)
        )
    each = list(image)
    if not each:
        raise ValueError("image: expected one frame at least, given an empty list")
    shapes = [tuple(getattr(frame, "shape", ())) for frame in each]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            "image: frames show the same latent image on the same pixels, register and crop them first; given the "
            f"shapes {', '.join(map(str, dict.fromkeys(shapes)))}"
        )
    return each


def one_for_each(name: str, values: Any, count: int) -> list[Any]:
    """A value for each frame, from a list or a row of so many, or from one for all.

    Raises
    ------
    ValueError
        A list of another length.
    """
    row = isinstance(values, list | tuple) or (name == "sigma" and getattr(values, "ndim", 0) == 1)
    if not row:
        return [values] * count
    if len(values) != count:
        raise ValueError(f"{name}: expected one for all frames, or a list of {count}, given {len(values)}")
    return list(values)


def stacked(frames: Sequence[Observation]) -> Observation:
    """Frames as one observation.

    Raises
    ------
    ValueError
        Frames with different numbers of samples or channels.
    """
    masks = clipped = None
    if any(frame.mask is not None for frame in frames):
        masks = _stack([torch.ones_like(f.image[:1, :1]) if f.mask is None else f.mask for f in frames])
    if any(frame.clipped is not None for frame in frames):
        clipped = torch.stack([torch.zeros_like(f.image) if f.clipped is None else f.clipped for f in frames])
    images = torch.stack([frame.image for frame in frames])
    return Observation(images, stacked_psfs([frame.psf for frame in frames], images.ndim - 3), masks, clipped)


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*tensors))


def stacked_psfs(psfs: Sequence[Tensor], space: int) -> Tensor:
    """Psfs of any sizes on one grid of odd sizes, their centres in one place: `(F, B or 1, C or 1, kh, kw)`."""
    sizes = zip(*(psf.shape[-space:] for psf in psfs), strict=True)
    size = [max(sides) + 1 - max(sides) % 2 for sides in sizes]
    padded = []
    for psf in psfs:
        pad: list[int] = []
        for n, s in zip(reversed(size), reversed(psf.shape[-space:]), strict=True):
            before = (n - 1) // 2 - (s - 1) // 2
            pad += [before, n - s - before]
        padded.append(F.pad(psf[(None,) * (space + 2 - psf.ndim)], pad))
    return _stack(padded)
