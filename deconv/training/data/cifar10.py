"""CIFAR-10: the python batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .archives import read_pickled_arrays
from .images import Splits, StoredImages

__all__ = ["read_cifar10"]

_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_VALIDATION = 5_000  # the last of the 50 000 training images


def read_cifar10(root: Path) -> Splits:
    """45 000 / 5000 / 10 000 photographs, `(3, 32, 32)`; the validation part is the end of the training batches.

    Parameters
    ----------
    root : Path
        The folder of ``data_batch_1`` ... ``test_batch``, or one that holds it as ``cifar-10-batches-py``.

    Returns
    -------
    Splits
        Photographs with their labels.

    References
    ----------
    Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    folder = next((f for f in (root, root / "cifar-10-batches-py") if (f / _TRAIN[0]).is_file()), None)
    if folder is None:
        raise FileNotFoundError(f"{root}: holds no CIFAR-10; expected the python batches, data_batch_1 and so on")
    train = _joined([folder / name for name in _TRAIN])
    end = len(train) - min(_VALIDATION, max(1, len(train) // 10))
    return Splits(train.part(0, end), train.part(end, len(train)), _joined([folder / "test_batch"]), num_classes=10)


def _joined(paths: list[Path]) -> StoredImages:
    batches = [_read_batch(path) for path in paths]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return StoredImages(torch.from_numpy(images), torch.from_numpy(labels))


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    batch = read_pickled_arrays(path)
    try:
        data, labels = batch[b"data"], np.asarray(batch[b"labels"], np.int64)
        if data.dtype != np.uint8 or data.shape != (len(labels), 3 * 32 * 32):
            raise ValueError(f"{data.dtype} {data.shape} for {len(labels)} labels")
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: not a batch of CIFAR-10 ({error})") from None
    return data.reshape(-1, 3, 32, 32), labels
