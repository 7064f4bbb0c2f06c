"""What a data set is to the training loop: 8-bit images, fetched by their indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["Batch", "ImageSet", "Splits", "StoredImages"]


class Batch(NamedTuple):
    """images: uint8 `(B, C, H, W)`. labels: int64 `(B,)`, or None."""

    images: Tensor
    labels: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        labels = None if self.labels is None else self.labels.to(device, non_blocking=True)
        return Batch(self.images.to(device, non_blocking=True), labels)


class ImageSet(Protocol):
    """Images of one shape; ``set.__getitems__([3, 1])`` is the batch of two of them.

    The name is the one by which `torch.utils.data.DataLoader` asks for a whole batch at once.
    """

    @property
    def shape(self) -> tuple[int, int, int]: ...
    def __len__(self) -> int: ...
    def __getitems__(self, indices: Sequence[int]) -> Batch: ...


@dataclass(frozen=True)
class StoredImages:
    """Images in memory: uint8 `(N, C, H, W)`, and their labels `(N,)`."""

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
        return tuple(self.images.shape[1:])

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
    """The three parts of a data set: to learn from, to choose by, to report on."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet
    num_classes: int | None = None

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if not len(self[name]):
                raise ValueError(f"the {name} part of the data holds no image")

    def __getitem__(self, name: str) -> ImageSet:
        if name not in ("train", "validation", "test"):
            raise ValueError(f"split: unknown {name!r}, allowed are 'train', 'validation', 'test'")
        return getattr(self, name)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.train.shape
