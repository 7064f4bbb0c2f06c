"""Folders of image files, read when they are needed; CelebA is one with a list of its parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...imaging.depths import fractions, to_depth
from ...imaging.files import read_image
from ...imaging.formats import suffixes
from ..order import permutation
from .images import Batch, Splits

__all__ = ["FileImages", "image_files", "read_celeba", "read_folder", "read_pixels"]

_VALIDATION_NAMES = ("validation", "val", "valid")
_CELEBA_CROP = 148  # the square around the face that generative models are trained on


@dataclass(frozen=True)
class FileImages:
    """Image files, each cropped about its centre to a square, shrunk and, if wanted, made grey.

    Parameters
    ----------
    paths : tuple of Path
        The files.
    size : int
        Side of the images, in pixels.
    grey : bool
        `(1, size, size)`; else `(3, size, size)`.
    crop : int, optional
        Side of the square that is shrunk, in pixels; by default the shorter side of the file's picture.
    """

    paths: tuple[Path, ...]
    size: int
    grey: bool = False
    crop: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1 if self.grey else 3, self.size, self.size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        return Batch(torch.stack([torch.from_numpy(self._read(self.paths[i])) for i in indices]))

    def _read(self, path: Path) -> np.ndarray:
        from PIL import Image

        pixels = read_pixels(path, grey=self.grey)
        frame = pixels.shape[1:]
        side = self.crop or min(frame)
        if side > min(frame) or side < self.size:
            found = " x ".join(map(str, frame))
            raise ValueError(f"{path}: {found} is smaller than the {max(side, self.size)} pixels a side needed")
        top, left = ((n - side) // 2 for n in frame)
        square = pixels[:, top : top + side, left : left + side]
        size, method = (self.size, self.size), Image.Resampling.LANCZOS
        return np.stack([np.asarray(Image.fromarray(c).resize(size, method, reducing_gap=3.0)) for c in square])


def read_pixels(path: Path, *, grey: bool) -> np.ndarray:
    """An image file as uint8 `(1, H, W)`, or `(3, H, W)`, whatever it holds."""
    from PIL import Image

    pixels = to_depth(fractions(read_image(path)), "uint8")
    if grey:
        return np.array(Image.fromarray(pixels).convert("L"))[None]
    channels = np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else np.broadcast_to(pixels, (3, *pixels.shape))
    return np.ascontiguousarray(channels)


def read_folder(root: Path, *, size: int = 64, grey: bool = False) -> Splits:
    """The image files in a folder, at any depth, as squares of `size` pixels.

    With folders ``train``, ``validation`` (or ``val``) and ``test`` inside, those are the parts; where one of the
    last two is missing, or all are, every twentieth file of the rest makes it up, in an order that depends on the
    files' number alone.

    Parameters
    ----------
    root : Path
        The folder.
    size : int
        Side of the images, in pixels.
    grey : bool
        `(1, size, size)`; else `(3, size, size)`.

    Returns
    -------
    Splits
        Images without labels.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: is not a folder")
    found = {path.name: path for path in root.iterdir() if path.is_dir()}
    files = image_files(found.get("train", root))
    held = next((image_files(found[name]) for name in _VALIDATION_NAMES if name in found), [])
    tested = image_files(found["test"]) if "test" in found else []
    if "train" not in found:
        held, tested = [], []
    shuffled = [files[i] for i in permutation(0, 0, len(files))]
    share = max(1, len(files) // 20)
    if not held:
        held, shuffled = shuffled[:share], shuffled[share:]
    if not tested:
        tested, shuffled = shuffled[:share], shuffled[share:]
    if not shuffled:
        kinds = ", ".join(suffixes(photographs=True))
        raise FileNotFoundError(f"{root}: holds {len(files)} images; expected at least 3 ({kinds})")
    train, validation, test = (FileImages(tuple(part), size, grey) for part in (sorted(shuffled), held, tested))
    return Splits(train, validation, test)


def read_celeba(root: Path, *, size: int = 64, grey: bool = False) -> Splits:
    """CelebA, aligned and cropped: the middle 148 x 148 pixels shrunk to `size`, in the parts that its authors made.

    Parameters
    ----------
    root : Path
        The folder of ``img_align_celeba`` and ``list_eval_partition.txt``.
    size, grey : as for `read_folder`
        The same.

    Returns
    -------
    Splits
        Photographs without labels.

    References
    ----------
    Liu, Luo, Wang and Tang, "Deep learning face attributes in the wild", ICCV 2015.
    """
    listing = next((p for p in (root, root / "Eval") if (p / "list_eval_partition.txt").is_file()), None)
    pictures = next((p for p in (root, root / "Img") if (p / "img_align_celeba").is_dir()), None)
    if listing is None or pictures is None:
        missing = "img_align_celeba" if pictures is None else "list_eval_partition.txt"
        raise FileNotFoundError(f"{root}: holds no CelebA; {missing} is missing")
    listing, pictures = listing / "list_eval_partition.txt", pictures / "img_align_celeba"
    parts: tuple[list[Path], ...] = ([], [], [])
    for number, line in enumerate(listing.read_text().splitlines(), 1):
        name, _, part = line.strip().partition(" ")
        if part not in ("0", "1", "2"):
            raise ValueError(f"{listing}: line {number} is {line!r}; expected a file and 0, 1 or 2")
        parts[int(part)].append(pictures / name)
    train, validation, test = (FileImages(tuple(part), size, grey, _CELEBA_CROP) for part in parts)
    return Splits(train, validation, test)


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder, at any depth, in the order of their names."""
    found = (Path(top) / name for top, _, names in os.walk(folder) for name in names)
    kinds = suffixes(photographs=True)
    return sorted(path for path in found if path.suffix.lower() in kinds)
