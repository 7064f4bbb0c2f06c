"""Crops of photographs, anywhere in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..order import permutation
from .folder import image_files, read_pixels
from .images import Batch, Splits

__all__ = ["Crops", "read_crops"]

# Rows and columns from one crop to the next.
_STEP = 8


@dataclass(frozen=True)
class Crops:
    """Squares at every eighth row and column of pictures, in a shuffled order that is always the same: the first few
    are a fair sample.

    Parameters
    ----------
    pictures : tuple of Tensor
        uint8 `(1, H, W)`.
    size : int
        Side of a square, in pixels.
    """

    pictures: tuple[torch.Tensor, ...]
    size: int
    _columns: list[int] = field(init=False, repr=False, compare=False)
    _ends: np.ndarray = field(init=False, repr=False, compare=False)
    _order: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        counts = [
            [(n - self.size) // _STEP + 1 if n >= self.size else 0 for n in picture.shape[1:]]
            for picture in self.pictures
        ]
        object.__setattr__(self, "_columns", [columns for _, columns in counts])
        object.__setattr__(self, "_ends", np.cumsum([rows * columns for rows, columns in counts]))
        object.__setattr__(self, "_order", permutation(0, 0, int(self._ends[-1]) if self.pictures else 0))

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, self.size, self.size)

    def __len__(self) -> int:
        return len(self._order)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        return Batch(torch.stack([self._crop(int(self._order[i])) for i in indices]))

    def _crop(self, number: int) -> torch.Tensor:
        picture = int(np.searchsorted(self._ends, number, side="right"))
        place = number - (int(self._ends[picture - 1]) if picture else 0)
        top, left = (_STEP * n for n in divmod(place, self._columns[picture]))
        return self.pictures[picture][:, top : top + self.size, left : left + self.size]


def read_crops(root: Path, *, size: int = 64) -> Splits:
    """Grey crops of the photographs in a folder with folders ``train`` and ``val`` (or ``validation``) inside; or in
    any folder, at any depth: then every tenth photograph, in the order of names, is for validation.

    The photographs for validation are the test part, too: there is nothing to report on but the prior's use.

    Parameters
    ----------
    root : Path
        The folder.
    size : int
        Side of a crop, in pixels.

    Returns
    -------
    Splits
        Crops `(1, size, size)`.
    """
    found = {path.name: path for path in root.iterdir() if path.is_dir()} if root.is_dir() else {}
    validation = next((found[name] for name in ("val", "validation") if name in found), None)
    if "train" in found and validation is not None:
        parts = [image_files(found["train"]), image_files(validation)]
    else:
        files = image_files(root)
        parts = [[path for i, path in enumerate(files) if (i % 10 == 0) == held] for held in (False, True)]
    train, held = (Crops(tuple(torch.from_numpy(read_pixels(p, grey=True)) for p in part), size) for part in parts)
    if not len(train) or not len(held):
        raise FileNotFoundError(f"{root} holds fewer than two photographs of {size} or more pixels a side")
    return Splits(train, held, held)
