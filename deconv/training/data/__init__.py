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
from .patches import read_patches

__all__ = ["DATASETS", "Batch", "ImageSet", "Splits", "StoredImages", "load_data"]

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


def load_data(name: str, root: str | os.PathLike | None = None, **options: Any) -> Splits:
    """A data set by its name.

    Parameters
    ----------
    name : str
        A key of `DATASETS`.
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
    """
    check_choice("data", name, DATASETS)
    reader = DATASETS[name]
    taken = inspect.signature(reader).parameters
    for option in options:
        if option not in taken or option == "root":
            raise ValueError(f"{option}: the data set {name} does not take it")
    if root is None:
        if taken["root"].default is None:
            return reader(**options)
        raise ValueError(f"root: the data set {name} needs the file or folder where it is")
    if not Path(root).exists():
        raise FileNotFoundError(f"{os.fspath(root)}: does not exist")
    return reader(Path(root), **options)
