"""The wide suite: any folder of photographs under three kinds of camera shake, as files of 8 bits keep them.

Cases fall into two halves of different photographs: parameters are tuned on one, figures reported on the other.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image
from torch import Tensor

from ..choices import check_choice
from ..imaging.degradation import degrade
from ..imaging.files import read_image
from ..imaging.formats import suffixes
from ..imaging.psf import camera_shake, inertial_shake, polyline_shake
from .blind_cases import Case, fractions

__all__ = ["Half", "wide"]

Half = Literal["tune", "report", "both"]

_CASES = 64
_SIDE = 255
_SIZES = (9, 45)  # of the psfs, odd
_LOBES = (0, 4)  # jerks and corners
_NOISES = (0.005, 0.01, 0.03)
_JPEG_EVERY, _JPEG_QUALITY = 3, 90

_SHAKES: dict[str, Callable[[int, int, int], Tensor]] = {
    "smooth": lambda size, lobes, seed: camera_shake(size, seed=seed),
    "inertial": lambda size, lobes, seed: inertial_shake(size, jerks=lobes, seed=seed),
    "polyline": lambda size, lobes, seed: polyline_shake(size, corners=lobes, seed=seed),
}


def wide(root: Path, *, half: Half = "both") -> Iterator[Case]:
    """64 cases of 255 x 255 from the photographs in a folder and below, all chosen by a fixed seed.

    Psfs of 9 to 45 pixels of three generators, white noise of 0.5, 1 or 3 % of full scale, clipped to [0, 1]; a third
    goes through JPEG of quality 90, the others are rounded to 8 bits. The window is the automatic one: nothing about
    the blur is told.

    Parameters
    ----------
    root : Path
        At least two photographs of 300 x 300 pixels or more.
    half : {"tune", "report", "both"}
        The halves share no photograph.
    """
    check_choice("half", half, get_args(Half))
    kinds = suffixes(photographs=True)
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in kinds)
    if len(files) < 2:
        raise ValueError(f"root: expected at least two photographs in {root}, found {len(files)}")
    generator = np.random.default_rng(0)
    order = generator.permutation(len(files))
    shakes = np.arange(_CASES) // 2 % len(_SHAKES)
    noises, lossy = (generator.permutation(np.arange(_CASES) // 2 % n) for n in (len(_NOISES), _JPEG_EVERY))
    for index in range(_CASES):
        size = int(generator.integers(_SIZES[0] // 2, _SIZES[1] // 2 + 1)) * 2 + 1
        lobes = int(generator.integers(_LOBES[0], _LOBES[1] + 1))
        place = generator.random(2)
        if half != "both" and half != ("tune", "report")[index % 2]:
            continue
        mine = order[index % 2 :: 2]
        name = list(_SHAKES)[shakes[index]]
        yield _case(
            files[mine[index // 2 % len(mine)]],
            f"{index:02}_{name}{size}",
            _SHAKES[name](size, lobes, index),
            noise=_NOISES[noises[index]],
            jpeg=lossy[index] == 0,
            place=place,
            seed=index,
        )


def _case(path: Path, name: str, psf: Tensor, *, noise: float, jpeg: bool, place: np.ndarray, seed: int) -> Case:
    """A piece of a photograph, `place` of the way from its top left to its bottom right corner."""
    photograph = fractions(read_image(path))
    photograph = photograph.mean(2) if photograph.ndim == 3 else photograph
    reach = max(psf.shape) // 2
    side = _SIDE + 2 * reach
    room = [n - side for n in photograph.shape]
    if min(room) < 0:
        raise ValueError(f"root: {path} is smaller than {side} x {side}")
    top, left = (int(share * (n + 1)) for share, n in zip(place, room, strict=True))
    piece = photograph[top : top + side, left : left + side]
    blurred = degrade(piece, psf, noise=noise, seed=seed).clip(0, 1)
    words = f"{path.stem}_{name}_noise{100 * noise:g}" + ("_jpeg" if jpeg else "")
    return Case(words, _stored(blurred, jpeg), piece[reach : reach + _SIDE, reach : reach + _SIDE], psf, None)


def _stored(image: np.ndarray, jpeg: bool) -> np.ndarray:
    """What a file of 8 bits keeps of a grey image in [0, 1]."""
    rounded = np.round(255 * image).astype(np.uint8)
    if jpeg:
        file = io.BytesIO()
        Image.fromarray(rounded).save(file, "JPEG", quality=_JPEG_QUALITY)
        rounded = np.asarray(Image.open(file))
    return fractions(rounded)
