"""Psfs that somebody measured: from a file, centred and scaled, with a word on what was done to them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..formats import format_of_bytes
from .moments import centroid

__all__ = ["Normalisation", "from_file", "normalise"]

_NAMES = ("psf", "kernel", "blur", "k", "h", "f", "filt", "x")


@dataclass(frozen=True)
class Normalisation:
    """What `normalise` found and did; ``str()`` is one line of it.

    Parameters
    ----------
    given, size : tuple of int
        Shape before and after.
    total : float
        The sum that was divided by.
    negative : float
        The sum of the values below zero, which were set to zero, as a share of the total.
    offset : tuple of float
        Where the centroid lay, in pixels from the centre, axis by axis, downwards and to the right.
    moved : tuple of int
        By how many whole pixels the psf was moved to bring its centroid to the centre.
    """

    given: tuple[int, ...]
    size: tuple[int, ...]
    total: float
    negative: float
    offset: tuple[float, ...]
    moved: tuple[int, ...]

    def __str__(self) -> str:
        words = [" x ".join(map(str, self.size))]
        if abs(self.total - 1) > 1e-4:
            words.append(f"divided by its sum {self.total:.5g}")
        if self.negative:
            words.append(f"{self.negative:.2%} below zero cut off")
        offset = ", ".join(f"{value:+.1f}" for value in self.offset)
        if any(self.moved):
            words.append(f"centroid moved from ({offset}) to the centre, in whole pixels")
        elif max(map(abs, self.offset)) > 0.5:
            words.append(f"centroid ({offset}) pixels off the centre, which moves the image by as much")
        return ", ".join(words)


def normalise(psf: Any, *, recentre: bool = False) -> tuple[Tensor, Normalisation]:
    """Make a psf of any array of weights, and say what that took.

    Parameters
    ----------
    psf : array or Tensor
        Two or three axes: real numbers of any dtype and scale. Values below zero are set to zero.
    recentre : bool
        Also bring the centroid to the centre, by whole pixels, so that no value is interpolated; the array grows to the
        smallest odd size that holds all that is not zero. Without it a psf off the centre moves the restored image,
        which is right where the offset is real and a nuisance where it is a matter of how the psf was cut out.

    Returns
    -------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, float32, sum 1.
    report : Normalisation
        What was found and done.

    Raises
    ------
    TypeError
        Not an array of real numbers.
    ValueError
        Other than two or three axes, NaN, no positive value.
    """
    array = psf.detach().cpu().numpy() if isinstance(psf, Tensor) else np.asarray(psf)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"psf: expected real numbers, given {array.dtype}")
    values = torch.from_numpy(array.astype(np.float64))
    if values.ndim not in (2, 3) or values.numel() == 0:
        raise ValueError(f"psf: expected two or three axes, given the shape {tuple(values.shape)}")
    if not torch.isfinite(values).all():
        raise ValueError("psf: some values are NaN or infinite")
    weights = values.clamp_min(0)
    total = float(weights.sum())
    if total == 0:
        raise ValueError("psf: no value is above zero")
    negative = float((weights - values).sum()) / total
    weights = weights / total
    centre = [(s - 1) // 2 for s in weights.shape]
    offset = tuple(centroid(weights).tolist())
    moved = (0,) * weights.ndim
    if recentre:
        moved = tuple(-round(value) for value in offset)
        weights = _around(weights, [c - m for c, m in zip(centre, moved, strict=True)])
    given, size = tuple(values.shape), tuple(weights.shape)
    return weights.float(), Normalisation(given, size, total, negative, offset, moved)


def from_file(path: str | os.PathLike, *, recentre: bool = False) -> tuple[Tensor, Normalisation]:
    """A psf kept in a file, scaled to sum 1, and what that took.

    Parameters
    ----------
    path : path-like
        An image (colours are averaged), a TIFF of many slices, a ``.npy`` file, or a MATLAB ``.mat`` file of version 5
        to 7. In a file with several arrays the psf is the one called ``psf``, ``kernel``, ``k``, ``h`` or the like,
        else the only one.
    recentre : bool
        Bring the centroid to the centre, see `normalise`.

    Returns
    -------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, float32, sum 1.
    report : Normalisation
        What was found and done.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It holds no psf.
    """
    data = Path(path).read_bytes()
    try:
        if Path(path).suffix.lower() == ".mat":
            values = _from_matlab(path, data)
        else:
            format = format_of_bytes(data)
            if format.volumes and format.codec.holds_volume(data):
                values = format.codec.decode_volume(data)
            else:
                values = format.codec.decode(data).pixels
                values = values.mean(2) if values.ndim == 3 else values
        return normalise(values, recentre=recentre)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def _from_matlab(path: str | os.PathLike, data: bytes) -> np.ndarray:
    from scipy.io import loadmat

    if data[:10] == b"MATLAB 7.3":
        raise ValueError("MATLAB files of version 7.3 are not read; save it with -v7")
    try:
        variables = loadmat(path)
    except Exception:  # scipy raises whatever the bytes lead it to
        raise ValueError("it is not a MATLAB file of version 5 to 7") from None
    arrays = {
        name: value
        for name, value in variables.items()
        if not name.startswith("__")
        and isinstance(value, np.ndarray)
        and value.dtype.kind in "fiub"
        and value.ndim in (2, 3)
        and value.size > 1
    }
    known = [name for name in _NAMES if name in {key.lower() for key in arrays}]
    if known:
        return next(value for key, value in arrays.items() if key.lower() == known[0])
    if len(arrays) != 1:
        found = ", ".join(sorted(arrays)) or "none"
        raise ValueError(f"expected one array, or one called psf; it holds {found}")
    return next(iter(arrays.values()))


def _around(weights: Tensor, centre: list[int]) -> Tensor:
    """The smallest odd-sized array with `centre` in its middle that holds all that is not zero."""
    pad: list[int] = []
    for axis in reversed(range(weights.ndim)):
        lit = weights.movedim(axis, 0).flatten(1).any(1).nonzero()
        reach = max(centre[axis] - int(lit[0]), int(lit[-1]) - centre[axis])
        pad += [reach - centre[axis], centre[axis] + reach + 1 - weights.shape[axis]]
    return F.pad(weights, pad)
