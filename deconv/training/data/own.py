"""Data sets of one's own: what `torch.utils.data.Dataset` and torchvision call one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..order import permutation
from .images import Batch, Splits

__all__ = ["DatasetImages", "OwnDataset", "split_dataset"]


class OwnDataset(Protocol):
    """What can be asked for its length and its items, as a `torch.utils.data.Dataset`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True)
class DatasetImages:
    """Items of a data set as images of one shape.

    Parameters
    ----------
    dataset : sequence
        Its items are images or pairs of an image and a label. An image is uint8 or, in [0, 1], floating-point; a tensor
        `(C, H, W)`, or an array or PIL image `H x W` or `H x W x C`.
    indices : sequence of int
        Which items.
    """

    dataset: OwnDataset
    indices: Sequence[int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of every image."""
        channels, height, width = self.__getitems__([0]).images.shape[1:]
        return channels, height, width

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, indices: Sequence[int], /) -> Batch:
        images, labels = [], []
        for index in (self.indices[i] for i in indices):
            item = self.dataset[index]
            image, label = item if isinstance(item, (tuple, list)) else (item, None)
            images.append(_whole_numbers(image, index))
            labels.append(label)
            if images[-1].shape != images[0].shape:
                shapes = " and ".join(str(tuple(i.shape)) for i in (images[0], images[-1]))
                raise ValueError(f"data: its images must be of one shape, found {shapes} (item {index})")
        known = not any(label is None for label in labels)
        return Batch(torch.stack(images), torch.tensor([int(label) for label in labels]) if known else None)


def _whole_numbers(image: Any, index: int) -> Tensor:
    """uint8 `(C, H, W)`."""
    if isinstance(image, Tensor):
        pixels = image
    else:
        array = np.array(image)
        pixels = torch.from_numpy(array if array.ndim != 3 else np.moveaxis(array, -1, 0).copy())
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if pixels.ndim == 3 and pixels.dtype == torch.uint8:
        return pixels
    if pixels.ndim == 3 and pixels.is_floating_point() and bool(((pixels >= 0) & (pixels <= 1)).all()):
        return (pixels * 255).round().to(torch.uint8)
    raise ValueError(
        f"data: expected images of uint8, or of floats in [0, 1], given {tuple(pixels.shape)} of {pixels.dtype} "
        f"(item {index})"
    )


def split_dataset(dataset: OwnDataset, *, num_classes: int | None = None) -> Splits:
    """Eight tenths of a data set to learn from, one to choose by, one to report on; always the same ones.

    Parameters
    ----------
    dataset : sequence
        See `DatasetImages`.
    num_classes : int, optional
        Of its labels; by default the length of its attribute ``classes``, as torchvision's have one.

    Returns
    -------
    Splits
        The three parts.
    """
    if len(dataset) < 3:
        raise ValueError(f"data: expected at least 3 images, given {len(dataset)}")
    order = permutation(0, 0, len(dataset)).tolist()
    share = max(1, len(order) // 10)
    parts = order[2 * share :], order[:share], order[share : 2 * share]
    train, validation, test = (DatasetImages(dataset, part) for part in parts)
    classes = getattr(dataset, "classes", None)
    return Splits(train, validation, test, len(classes) if num_classes is None and classes else num_classes)
