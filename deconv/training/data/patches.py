"""Natural patches: from the photographs that scikit-image brings along, which needs no download, or from a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..order import permutation
from .folder import image_files, read_pixels
from .images import Splits, StoredImages

__all__ = ["read_patches"]

# Without `camera` and `astronaut`, which are kept for showing what a trained prior does.
_COLOUR = ("chelsea", "coffee", "rocket", "stereo_motorcycle")
_GREY = ("brick", "coins", "grass", "gravel", "moon")


def read_patches(root: Path | None = None, *, size: int = 16, grey: bool = True) -> Splits:
    """Patches of `size` x `size` pixels, each half over its neighbour, from photographs and textures.

    The upper 80 % of every picture is for training, the next 10 % for validation, the last for testing: no pixel is
    in two parts.

    Parameters
    ----------
    root : Path, optional
        A folder of image files, at any depth; by default nine pictures of scikit-image, or four in colour.
    size : int
        Side of a patch, in pixels.
    grey : bool
        `(1, size, size)`; else `(3, size, size)`.

    Returns
    -------
    Splits
        Patches, halves of which overlap their neighbours.
    """
    if root is None:
        pictures = [_picture(name, grey) for name in (_COLOUR + _GREY if grey else _COLOUR)]
    else:
        pictures = [torch.from_numpy(read_pixels(path, grey=grey)) for path in image_files(root)]
    if not pictures:
        raise FileNotFoundError(f"{root}: holds no image")
    lowest = min(picture.shape[1] for picture in pictures) // 10
    if not 2 <= size <= lowest:
        raise ValueError(f"size: expected 2 to {lowest} pixels a side, given {size}")
    parts: tuple[list[Tensor], ...] = ([], [], [])
    for picture in pictures:
        height = picture.shape[1]
        borders = (0, 8 * height // 10, 9 * height // 10, height)
        for part, top, bottom in zip(parts, borders, borders[1:], strict=False):
            part.append(_patches(picture[:, top:bottom], size))
    train, validation, test = (_shuffled(torch.cat(part)) for part in parts)
    return Splits(train, validation, test)


def _picture(name: str, grey: bool) -> Tensor:
    """uint8 `(C, H, W)`."""
    import skimage

    pixels = getattr(skimage.data, name)()
    pixels = pixels[0] if isinstance(pixels, tuple) else pixels  # of a stereo pair, the left one
    if grey and pixels.ndim == 3:
        pixels = skimage.util.img_as_ubyte(skimage.color.rgb2gray(pixels))
    return torch.from_numpy(np.array(np.atleast_3d(pixels))).permute(2, 0, 1)


def _patches(strip: Tensor, size: int) -> Tensor:
    """`(N, C, size, size)`."""
    step = max(1, size // 2)
    windows = strip.unfold(1, size, step).unfold(2, size, step)
    return windows.permute(1, 2, 0, 3, 4).reshape(-1, strip.shape[0], size, size)


def _shuffled(patches: Tensor) -> StoredImages:
    """In an order that is always the same: the first few are then a fair sample."""
    return StoredImages(patches[torch.as_tensor(permutation(0, 0, len(patches)))])
