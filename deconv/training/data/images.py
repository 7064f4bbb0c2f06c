"""What a data set is to the training loop: 8-bit images, fetched by their indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ...choices import check_choice

__all__ = ["Batch", "ImageSet", "Splits", "StoredImages"]

_PARTS = ("train", "validation", "test")


class Batch(NamedTuple):
    """Some images, and their labels.

    Parameters
    ----------
    images : Tensor
        uint8 `(B, C, H, W)`.
    labels : Tensor, optional
        int64 `(B,)`.
    """

    images: Tensor
    labels: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        labels = None if self.labels is None else self.labels.to(device, non_blocking=True)
        return Batch(self.images.to(device, non_blocking=True), labels)


class ImageSet(Protocol):
    """Images of one shape; ``set.__getitems__([3, 1])`` is the batch of two of them.

    The name is the one by which `torch.utils.data.DataLoader` asks for a whole batch at once.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of every image."""
        ...

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int], /) -> Batch: ...


@dataclass(frozen=True)
class StoredImages:
    """Images in memory.

    Parameters
    ----------
    images : Tensor
        uint8 `(N, C, H, W)`.
    labels : Tensor, optional
        `(N,)`.
    """

    images: Tensor
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            given = f"{tuple(self.images.shape)} of {self.images.dtype}"
            raise ValueError(f"images: expected uint8 (N, C, H, W), given {given}")
        if self.labels is not None and self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels: {len(self.labels)} of them for {len(self.images)} images")

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of every image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        index = torch.as_tensor(indices)
        return Batch(self.images[index], None if self.labels is None else self.labels[index])

    def part(self, start: int, stop: int) -> StoredImages:
        """The images from `start` up to `stop`, without copying them."""
        return StoredImages(self.images[start:stop], None if self.labels is None else self.labels[start:stop])


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set.

    Parameters
    ----------
    train, validation, test : ImageSet
        To learn from, to choose by, to report on.
    num_classes : int, optional
        Labels are 0 ... `num_classes` - 1; by default there are none.
    """

    train: ImageSet
    validation: ImageSet
    test: ImageSet
    num_classes: int | None = None

    def __post_init__(self) -> None:
        for name in _PARTS:
            if not len(self[name]):
                raise ValueError(f"the {name} part of the data holds no image")

    def __getitem__(self, name: str) -> ImageSet:
        check_choice("split", name, _PARTS)
        return getattr(self, name)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of every image."""
        return self.train.shape
