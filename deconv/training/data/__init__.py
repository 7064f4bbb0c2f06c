"""Data sets by name: a new one is one more row."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...choices import check_choice
from .cifar10 import read_cifar10
from .crops import read_crops
from .folder import read_celeba, read_folder
from .imagenet import read_imagenet32, read_imagenet64
from .images import Batch, ImageSet, Splits, StoredImages
from .mnist import read_mnist
from .own import DatasetImages, OwnDataset, split_dataset
from .patches import read_patches

__all__ = [
    "DATASETS",
    "OWN",
    "Batch",
    "DatasetImages",
    "ImageSet",
    "OwnDataset",
    "Splits",
    "StoredImages",
    "load_data",
    "split_dataset",
]

DATASETS: dict[str, Callable[..., Splits]] = {
    "patches": read_patches,
    "crops": read_crops,
    "mnist": read_mnist,
    "cifar10": read_cifar10,
    "imagenet32": read_imagenet32,
    "imagenet64": read_imagenet64,
    "celeba": read_celeba,
    "folder": read_folder,
}


OWN = "own"
"""What a run calls images that were given to it in Python."""


def load_data(data: str | Splits | OwnDataset, root: str | os.PathLike | None = None, **options: Any) -> Splits:
    """A data set by its name, or one's own.

    Parameters
    ----------
    data : str or Splits or Dataset
        A key of `DATASETS`; a `torch.utils.data.Dataset` of images, with or without labels, which is split by
        `split_dataset`; or the parts themselves, which are given back.
    root : path-like, optional
        Its file or folder; ``"patches"`` has pictures of its own where none is given.
    **options : Any
        `size` (pixels a side) and `grey`, where the reader takes them.

    Returns
    -------
    Splits
        The parts for training, validation and testing.

    Raises
    ------
    ValueError
        An unknown name or option, no root where one is needed, a damaged file.
    FileNotFoundError
        The root does not hold the data set; the message says what was looked for.

    Examples
    --------
    >>> import torch
    >>> class Ramps(torch.utils.data.Dataset):
    ...     def __len__(self):
    ...         return 100
    ...
    ...     def __getitem__(self, i):
    ...         return torch.linspace(0, 1, 64).roll(i).view(1, 8, 8), i % 2  # image and label
    >>> splits = load_data(Ramps())
    >>> len(splits.train), len(splits.validation), len(splits.test), splits.shape
    (80, 10, 10, (1, 8, 8))
    """
    if isinstance(data, Splits):
        return data
    if not isinstance(data, str):
        return split_dataset(data)
    if data == OWN:
        raise ValueError("data: the images of this run were given to it in Python; give them again, or a data set")
    check_choice("data", data, DATASETS)
    reader = DATASETS[data]
    taken = inspect.signature(reader).parameters
    for option in options:
        if option not in taken or option == "root":
            raise ValueError(f"{option}: the data set {data} does not take it")
    if root is None:
        if taken["root"].default is None:
            return reader(**options)
        raise ValueError(f"root: the data set {data} needs the file or folder where it is")
    if not Path(root).exists():
        raise FileNotFoundError(f"{os.fspath(root)}: does not exist")
    return reader(Path(root), **options)
