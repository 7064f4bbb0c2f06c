"""Downsampled ImageNet, 32 x 32 and 64 x 64: the npz batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .archives import read_npz
from .images import Splits, StoredImages

__all__ = ["read_imagenet32", "read_imagenet64"]

_BATCHES = 10
_VALIDATION = 10_000  # the last of the training images


def read_imagenet32(root: Path) -> Splits:
    """ImageNet at `(3, 32, 32)`, see `read_imagenet64`; 4 GB in memory."""
    return _read(root, 32)


def read_imagenet64(root: Path) -> Splits:
    """ImageNet at `(3, 64, 64)`; 16 GB in memory.

    The validation file is the test part, as is usual, and the last 10 000 training images are the validation part.

    Parameters
    ----------
    root : Path
        The folder of ``train_data_batch_1.npz`` ... ``train_data_batch_10.npz`` and ``val_data.npz``, there or in
        ``train`` and ``val``. Where only some of the training batches are there, those are read.

    Returns
    -------
    Splits
        Photographs with their labels.

    References
    ----------
    Chrabaszcz, Loshchilov and Hutter, "A downsampled variant of ImageNet as an alternative to the CIFAR datasets",
    2017.
    """
    return _read(root, 64)


def _read(root: Path, side: int) -> Splits:
    def stored(name: str) -> Path | None:
        return next((f for f in root.glob(f"**/{name}.npz") if f.is_file()), None)

    parts = [path for i in range(1, _BATCHES + 1) if (path := stored(f"train_data_batch_{i}"))]
    test = stored("val_data")
    if not parts or test is None:
        missing = "train_data_batch_1.npz and so on" if not parts else "val_data.npz"
        raise FileNotFoundError(f"{root}: holds no downsampled ImageNet; {missing} is missing")
    batches = [_read_batch(path, side) for path in parts]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    train = StoredImages(torch.from_numpy(images), torch.from_numpy(labels))
    end = len(train) - min(_VALIDATION, max(1, len(train) // 10))
    test_images, test_labels = map(torch.from_numpy, _read_batch(test, side))
    return Splits(
        train.part(0, end), train.part(end, len(train)), StoredImages(test_images, test_labels), num_classes=1000
    )


def _read_batch(path: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
    data, labels = read_npz(path, ("data", "labels"))
    if data.dtype != np.uint8 or data.shape != (len(labels), 3 * side * side):
        raise ValueError(
            f"{path}: expected uint8 ({len(labels)}, {3 * side * side}) for images of {side} x {side}, "
            f"found {data.dtype} {data.shape}"
        )
    return data.reshape(-1, 3, side, side), labels.astype(np.int64) - 1  # counted from 1 in the files
