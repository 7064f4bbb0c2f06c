"""MNIST: the four idx files, plain or compressed, or one npz file."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch

from .archives import read_npz
from .images import Splits, StoredImages

__all__ = ["read_mnist"]

_VALIDATION = 10_000  # the last of the 60 000 training images

_IDX_TYPES = {0x08: np.dtype("u1"), 0x09: np.dtype("i1"), 0x0B: np.dtype(">i2"), 0x0C: np.dtype(">i4")}

# The names of the arrays in the npz files that go round.
_NPZ_NAMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)


def read_mnist(root: Path) -> Splits:
    """50 000 / 10 000 / 10 000 digits, `(1, 28, 28)`; the validation part is the end of the training file.

    Parameters
    ----------
    root : Path
        An npz file, or a folder with one called ``mnist.npz``, or with ``train-images-idx3-ubyte`` and so on, each with
        or without ``.gz``, there or in ``MNIST/raw``.

    Returns
    -------
    Splits
        Digits with their labels.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
    """
    arrays = _from_npz(root) if root.is_file() else _from_folder(root)
    train_images, train_labels, test_images, test_labels = arrays
    train, test = _paired(root, train_images, train_labels), _paired(root, test_images, test_labels)
    held_out = min(_VALIDATION, len(train) // 6)
    end = len(train) - held_out
    return Splits(train.part(0, end), train.part(end, len(train)), test, num_classes=10)


def _paired(root: Path, images: np.ndarray, labels: np.ndarray) -> StoredImages:
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or images.dtype != np.uint8:
        raise ValueError(
            f"{root}: expected uint8 images (N, 28, 28) and labels (N,), found {images.dtype} {images.shape} and "
            f"{labels.shape}"
        )
    return StoredImages(torch.tensor(images)[:, None], torch.tensor(labels.astype(np.int64)))


def _from_npz(path: Path) -> list[np.ndarray]:
    return read_npz(path, *_NPZ_NAMES)


def _from_folder(root: Path) -> list[np.ndarray]:
    if (root / "mnist.npz").is_file():
        return _from_npz(root / "mnist.npz")
    for folder in (root, root / "MNIST" / "raw"):
        if _stored(folder, "train", "images", 3):
            return [
                _read_idx(_stored(folder, part, kind, axes) or folder / f"{part}-{kind}-idx{axes}-ubyte")
                for part in ("train", "t10k")
                for kind, axes in (("images", 3), ("labels", 1))
            ]
    raise FileNotFoundError(f"{root}: holds no MNIST; expected mnist.npz or train-images-idx3-ubyte (.gz) and so on")


def _stored(folder: Path, part: str, kind: str, axes: int) -> Path | None:
    names = (f"{part}-{kind}-idx{axes}-ubyte", f"{part}-{kind}.idx{axes}-ubyte")
    paths = (folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def _read_idx(path: Path) -> np.ndarray:
    """The array in an idx file: two zeros, type, number of axes, sizes (big-endian), values."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: damaged ({error})") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path}: not an idx file")
    dtype, shape = _IDX_TYPES[data[2]], np.frombuffer(data, ">i4", count=data[3], offset=4)
    start, needed = 4 + 4 * data[3], int(shape.prod(dtype=np.int64)) * dtype.itemsize
    if len(data) - start != needed:
        raise ValueError(f"{path}: damaged, {len(data) - start} bytes of values where its head announces {needed}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)
