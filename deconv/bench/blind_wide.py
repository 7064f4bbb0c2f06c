"""The wide and the harsh suite: any folder of photographs under three kinds of camera shake, as files of 8 bits keep
them.

Cases fall into two halves of different photographs, the same for every seed: parameters are tuned on one, figures
reported on the other.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

__all__ = ["HARSH", "WIDE", "Conditions", "Half", "wide"]

Half = Literal["tune", "report", "both"]

_CASES = 64
_SIDE = 255
_LOBES = (0, 4)  # jerks and corners
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Conditions:
    """What a suite asks of the estimation.

    Attributes
    ----------
    sides : tuple of int
        Pixels on each side of the pictures.
    sizes : tuple of int
        Of the psfs, the least and the greatest, odd, in pictures of 255 pixels; in others in proportion.
    noises : tuple of float
        Standard deviations of white noise, as shares of full scale.
    jpeg_every : int
        One picture of so many goes through JPEG of quality 90.
    places : int
        So many places of a photograph are looked at, and the one of the least sparse gradient is taken: texture, which
        tells less about a blur than lone edges do.
    """

    sides: tuple[int, ...]
    sizes: tuple[int, int]
    noises: tuple[float, ...]
    jpeg_every: int
    places: int = 1


WIDE = Conditions(sides=(_SIDE,), sizes=(9, 45), noises=(0.005, 0.01, 0.03), jpeg_every=3)
HARSH = Conditions(sides=(160, _SIDE), sizes=(11, 55), noises=(0.01, 0.02, 0.03, 0.05), jpeg_every=2, places=3)

_SHAKES: dict[str, Callable[[int, int, int], Tensor]] = {
    "smooth": lambda size, lobes, seed: camera_shake(size, seed=seed),
    "inertial": lambda size, lobes, seed: inertial_shake(size, jerks=lobes, seed=seed),
    "polyline": lambda size, lobes, seed: polyline_shake(size, corners=lobes, seed=seed),
}


def wide(root: Path, conditions: Conditions = WIDE, *, half: Half = "both", seed: int = 0) -> Iterator[Case]:
    """64 cases from the photographs in a folder and below, all chosen by a seed.

    Psfs of three generators, white noise, clipped to [0, 1]; some go through JPEG, the others are rounded to 8 bits.
    The window is the automatic one: nothing about the blur is told.

    Parameters
    ----------
    root : Path
        At least two photographs, larger than the pictures and the psfs together.
    conditions : Conditions
        How hard they are.
    half : {"tune", "report", "both"}
        The halves share no photograph, whatever the seed.
    seed : int
        0 or more; each takes other photographs, as far as there are more, and other psfs, places and noise.
    """
    check_choice("half", half, get_args(Half))
    if seed < 0:
        raise ValueError(f"seed: expected 0 or more, given {seed}")
    kinds = suffixes(photographs=True)
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in kinds)
    if len(files) < 2:
        raise ValueError(f"root: expected at least two photographs in {root}, found {len(files)}")
    generator = np.random.default_rng(0)
    order = generator.permutation(len(files))
    if seed:
        generator = np.random.default_rng(seed)

    def evenly(count: int, each: int = 2) -> np.ndarray:
        return np.arange(_CASES) // each % count

    shakes = evenly(len(_SHAKES))
    noises, lossy = (generator.permutation(evenly(count)) for count in (len(conditions.noises), conditions.jpeg_every))
    sides = evenly(len(conditions.sides), 2 * len(_SHAKES))
    for index in range(_CASES):
        side = conditions.sides[sides[index]]
        reach = int(generator.integers(conditions.sizes[0] // 2, conditions.sizes[1] // 2 + 1))
        size = round(reach * side / _SIDE) * 2 + 1
        lobes = int(generator.integers(_LOBES[0], _LOBES[1] + 1))
        places = generator.random((conditions.places, 2))
        if half != "both" and half != ("tune", "report")[index % 2]:
            continue
        mine = order[index % 2 :: 2]
        name = list(_SHAKES)[shakes[index]]
        drawn = index + _CASES * seed
        yield _case(
            files[mine[drawn // 2 % len(mine)]],
            f"{drawn:02}_{name}{size}",
            _SHAKES[name](size, lobes, drawn),
            side=side,
            noise=conditions.noises[noises[index]],
            jpeg=lossy[index] == 0,
            places=places,
            seed=drawn,
        )


def _case(
    path: Path, name: str, psf: Tensor, *, side: int, noise: float, jpeg: bool, places: np.ndarray, seed: int
) -> Case:
    """The piece of a photograph of the least sparse gradient; `places` `(n, 2)`: shares of the way from its top left to
    its bottom right corner."""
    photograph = fractions(read_image(path))
    photograph = photograph.mean(2) if photograph.ndim == 3 else photograph
    reach = max(psf.shape) // 2
    whole = side + 2 * reach
    room = [n - whole for n in photograph.shape]
    if min(room) < 0:
        raise ValueError(f"root: {path} is smaller than {whole} x {whole}")
    corners = [[int(share * (n + 1)) for share, n in zip(place, room, strict=True)] for place in places]
    piece = max((photograph[top : top + whole, left : left + whole] for top, left in corners), key=_density)
    blurred = degrade(piece, psf, noise=noise, seed=seed).clip(0, 1)
    words = f"{path.stem}_{name}_noise{100 * noise:g}" + ("_jpeg" if jpeg else "")
    return Case(words, _stored(blurred, jpeg), piece[reach : reach + side, reach : reach + side], psf, None)


def _density(image: np.ndarray) -> float:
    """Mean magnitude of the gradient over its root mean square: the lower, the fewer edges the image is made of."""
    gradient = np.hypot(np.diff(image, axis=0)[:, 1:], np.diff(image, axis=1)[1:])
    return float(gradient.mean() / max(float(np.sqrt(np.square(gradient).mean())), 1e-12))


def _stored(image: np.ndarray, jpeg: bool) -> np.ndarray:
    """What a file of 8 bits keeps of a grey image in [0, 1]."""
    rounded = np.round(255 * image).astype(np.uint8)
    if jpeg:
        file = io.BytesIO()
        Image.fromarray(rounded).save(file, "JPEG", quality=_JPEG_QUALITY)
        rounded = np.asarray(Image.open(file))
    return fractions(rounded)
