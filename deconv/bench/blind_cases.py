"""Blurred photographs with known psf and sharp original: folders of published ones, and a suite that needs no data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ..imaging.degradation import degrade
from ..imaging.files import read_image
from ..imaging.psf import camera_shake, from_file

__all__ = ["Case", "fractions", "in_folder", "synthetic"]

_PHOTOGRAPHS = ("camera", "astronaut", "coffee", "rocket")
_SIDE = 300
# Of the built-in psfs: size and seed.
_SHAKES = ((13, 1), (15, 2), (17, 3), (19, 4), (21, 5), (23, 6), (25, 7), (27, 8))
# What a kernel of a data set is stored with, black borders included, leaves little room for drift.
_ROOM = 1.15


@dataclass(frozen=True)
class Case:
    """One photograph. blurred, sharp: arrays of one shape; window: kernel size to estimate with, None: automatic."""

    name: str
    blurred: np.ndarray
    sharp: np.ndarray
    psf: Tensor
    window: int | None


def in_folder(root: Path, *, noise: float = 0.0) -> Iterator[Case]:
    """The cases of a folder: ``sharp/IMAGE.png``, ``kernels/KERNEL.png`` and ``blurred/IMAGE_KERNEL.png``.

    noise: standard deviation of white noise to add to the blurred pictures, as a share of full scale.
    """
    blurred = sorted((root / "blurred").glob("*.png"))
    kernels = {path.stem: path for path in (root / "kernels").glob("*.png")}
    if not blurred or not kernels:
        raise ValueError(f"root: {root} does not hold pictures in blurred/ and kernels/")
    for index, path in enumerate(blurred):
        kernel = next((name for name in kernels if path.stem.endswith(f"_{name}")), None)
        if kernel is None:
            raise ValueError(f"root: no kernel in {root / 'kernels'} belongs to {path.name}")
        psf, _ = from_file(kernels[kernel])
        sharp = fractions(read_image(root / "sharp" / f"{path.stem.removesuffix('_' + kernel)}.png"))
        image = fractions(read_image(path))
        if noise:
            image = degrade(image, np.ones((1, 1)), noise=noise, seed=index)
        yield Case(path.stem, image, sharp, psf, _odd(_ROOM * max(psf.shape)))


def synthetic(*, noise: float, side: int = _SIDE) -> Iterator[Case]:
    """Four photographs of scikit-image under eight camera shakes of 13 to 27 pixels, all on frames of one side."""
    import skimage.data

    for name in _PHOTOGRAPHS:
        photograph = fractions(getattr(skimage.data, name)())
        photograph = photograph.mean(2) if photograph.ndim == 3 else photograph
        for size, seed in _SHAKES:
            psf = camera_shake(size, seed=seed)
            top, left = ((n - side - size) // 2 for n in photograph.shape)
            piece = photograph[top : top + side + size - 1, left : left + side + size - 1]
            blurred = degrade(piece, psf, noise=noise, seed=seed)
            sharp = piece[size // 2 : size // 2 + side, size // 2 : size // 2 + side]
            yield Case(f"{name}_shake{size}", blurred, sharp, psf, _odd(_ROOM * size))


def fractions(image: np.ndarray) -> np.ndarray:
    """Float32 in [0, 1], grey where all channels agree."""
    scale = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
    image = (image / scale).astype(np.float32)
    return image[..., 0] if image.ndim == 3 and (image == image[..., :1]).all() else image


def _odd(length: float) -> int:
    return 2 * round((length - 1) / 2) + 1
