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

from ..decoding import decoding
from ..formats import format_of_bytes, format_of_folder
from ..picture import Volume, VoxelSize
from ..stacks import volume_in_folder
from .background import measure_background, on_the_border
from .matlab import psf_from_matlab
from .moments import centroid
from .shift import centred, interpolated
from .window import MAX_VALUES

__all__ = ["Normalisation", "from_file", "normalise", "read_psfs"]

# What lies below zero may be noise or a lobe; where it is half of what lies above, the array is no psf.
_MOST_NEGATIVE = 0.5

# A centroid is between two pixels if it is so near to the middle of both. A psf is symmetric if it differs from its
# mirror image by so much of its sum at most.
_BETWEEN, _ASYMMETRY = 0.05, 0.1

# A psf that is more than so much of its peak on every side of its window goes on outside of it; one that is nearly
# as high there as anywhere, a box, has an edge.
_CUT_OFF, _EDGE = 0.02, 0.5

# A centroid that is farther from the centre, in pixels, is told of: half a pixel can cost a sharp stack 6 dB.
_OFF_CENTRE = 0.2

# How far apart the colours of a grey picture may be, as a part of its peak: compression and warm light make them so.
_COLOURED = 0.25


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
    moved : tuple of float
        By how many pixels the psf was moved to bring its centroid to the centre; zeros where that was not asked for.
    background : float
        The level that was subtracted, a camera's offset or haze; 0 for none.
    background_share : float
        Its part of the sum before.
    border : float
        The psf on the least of its sides, in parts of its peak: what a window cuts off.
    half : tuple of bool
        Along which axes an even number of pixels had its centroid between two of them, so that the psf was moved by
        half a pixel and has one more.
    linear : bool
        Whether it was moved by parts of a pixel by linear interpolation, which widens it a little, as its lines or
        edges are too sharp for Fourier interpolation.
    """

    given: tuple[int, ...]
    size: tuple[int, ...]
    total: float
    negative: float
    offset: tuple[float, ...]
    moved: tuple[float, ...]
    background: float = 0.0
    background_share: float = 0.0
    border: float = 0.0
    half: tuple[bool, ...] = ()
    linear: bool = False

    def __str__(self) -> str:
        words = [" x ".join(map(str, self.size))]
        if abs(self.total - 1) > 1e-4:
            words.append(f"divided by its sum {self.total:.5g}")
        if self.background_share:
            words.append(f"background of {self.background:.4g}, {self.background_share:.0%} of its sum, subtracted")
        if _CUT_OFF < self.border < _EDGE:
            words.append(f"cut off by its window, where it is still {self.border:.0%} of its peak")
        if self.negative:
            words.append(f"{self.negative:.2%} below zero cut off")
        if any(self.half):
            words.append("symmetric about a place between two pixels, moved by half of one onto a pixel")
        offset = ", ".join(f"{round(value, 1) + 0.0:+.1f}" for value in self.offset)  # no minus zero
        if any(self.moved):
            words.append(f"centroid moved from ({offset}) to the centre")
        elif max(map(abs, self.offset)) > _OFF_CENTRE:
            words.append(f"centroid ({offset}) pixels off the centre, which moves the image by as much")
        if self.linear:
            words.append("interpolated linearly, as its lines or edges are sharp")
        return ", ".join(words)


def normalise(psf: Any, *, recentre: bool = False) -> tuple[Tensor, Normalisation]:
    """Make a psf of any array of weights, and say what that took.

    Parameters
    ----------
    psf : array or Tensor
        Two or three axes: real numbers of any dtype and scale. Values below zero are set to zero; where the border of
        the array shows a background, a camera's offset, that is subtracted and its noise cut.
    recentre : bool
        Also bring the centroid to the centre, to a part of a pixel, as `centre` does; the array gets the smallest odd
        size that holds all that is not zero. Without it a psf off the centre moves the restored image, which is right
        where the offset is real and a nuisance where it is a matter of how the psf was cut out.

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
        Other than two or three axes, NaN, no positive value, or about as much below zero as above.
    """
    array = psf.detach().cpu().numpy() if isinstance(psf, Tensor) else np.asarray(psf)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"psf: expected real numbers, given {array.dtype}")
    values = torch.from_numpy(array.astype(np.float64))
    if values.ndim not in (2, 3) or values.numel() == 0:
        raise ValueError(f"psf: expected two or three axes, given the shape {tuple(values.shape)}")
    if not torch.isfinite(values).all():
        raise ValueError("psf: some values are NaN or infinite")
    if float(values.max()) <= 0:
        raise ValueError("psf: no value is above zero")
    background = measure_background(values)
    if background is not None:
        values = background.removed(values)
    weights = values.clamp_min(0)
    total = float(weights.sum())
    negative = float((weights - values).sum()) / total
    if negative > _MOST_NEGATIVE:
        raise ValueError(f"psf: what lies below zero is {negative:.0%} of what lies above; it is no blur")
    weights = weights / total
    border = on_the_border(weights)
    weights, half, linear = _off_the_gaps(weights)
    offset, moved = tuple(centroid(weights).tolist()), (0.0,) * weights.ndim
    if recentre:
        weights, moved, linear_too = centred(weights)
        linear = linear or linear_too
    given, size = tuple(values.shape), tuple(weights.shape)
    level, share = (0.0, 0.0) if background is None else (background.level, background.share)
    report = Normalisation(given, size, total, negative, offset, moved, level, share, border, half, linear)
    return weights.float(), report


def from_file(path: str | os.PathLike, *, recentre: bool = False) -> tuple[Tensor, Normalisation]:
    """A psf kept in a file, scaled to sum 1, and what that took.

    Parameters
    ----------
    path : path-like
        An image (of its colours, which are to agree, the mean), a stack (TIFF, OME-Zarr, FITS, MRC), a ``.npy`` file,
        or a MATLAB ``.mat`` file, `H x W` or `H x W x D`, of version 7.3 where h5py is installed. In a file with
        several arrays the psf is the one called ``psf``, ``kernel``, ``k``, ``h`` or the like, else the only one.
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
    (found, *others), _ = read_psfs(path, recentre=recentre)
    if others:
        raise ValueError(f"{os.fspath(path)}: it holds {len(others) + 1} psfs, one for each channel; expected one")
    return found


def read_psfs(
    path: str | os.PathLike, *, recentre: bool = False
) -> tuple[list[tuple[Tensor, Normalisation]], VoxelSize | None]:
    """The psfs in a file, one for each channel where it has channels, and the size of their voxels if it says any.

    Parameters
    ----------
    path, recentre : path-like, bool
        As for `from_file`.

    Returns
    -------
    psfs : list of pair
        Each as `from_file` gives it.
    voxel : VoxelSize or None
        What the file says.

    Raises
    ------
    OSError, ValueError
        As `from_file`.
    """
    voxel, channels = None, None
    folder = format_of_folder(path)
    data = b"" if folder else Path(path).read_bytes()
    with decoding(path):
        if folder:
            values, channels, voxel = _of_volume(volume_in_folder(folder, path, MAX_VALUES))
        elif Path(path).suffix.lower() == ".mat":
            values = psf_from_matlab(data)
        else:
            format = format_of_bytes(data)
            if format.volumes and format.codec.holds_volume(data):
                values, channels, voxel = _of_volume(format.codec.decode_volume(data, MAX_VALUES))
            else:
                values = format.codec.decode(data, MAX_VALUES).pixels
                values = _without_colours(values) if values.ndim == 3 else values
    try:
        return [normalise(one, recentre=recentre) for one in ([values] if channels is None else channels)], voxel
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def _without_colours(values: np.ndarray) -> np.ndarray:
    """The mean of the colours of a grey picture. Others are no psf, or slices that are declared as colours."""
    apart = float(np.ptp(values.astype(np.float64), axis=2).max()) / (float(np.abs(values).max()) or 1.0)
    if apart > _COLOURED:
        raise ValueError(
            f"it is a colour picture, whose colours differ by {apart:.0%} of the peak; expected grey values. A TIFF of "
            "three slices says so with photometric='minisblack' in tifffile.imwrite"
        )
    return values.mean(2)


def _of_volume(volume: Volume) -> tuple[np.ndarray, np.ndarray | None, VoxelSize | None]:
    """The values, those of each channel where there are several, and the size of the voxels."""
    values, axes = volume.values, volume.axes
    if len(axes) != values.ndim:
        return values, None, volume.voxel
    if "T" in axes:
        if values.shape[axes.index("T")] > 1:
            raise ValueError(f"its axes are {axes}; a psf has no times")
        values, axes = values.squeeze(axes.index("T")), axes.replace("T", "")
    channels = np.moveaxis(values, axes.index("C"), 0) if "C" in axes else None
    return values, channels, volume.voxel


def _off_the_gaps(weights: Tensor) -> tuple[Tensor, tuple[bool, ...], bool]:
    """A psf of even size with its centroid between two pixels, moved by half of one; along which axes that was so; and
    whether by linear interpolation.

    Where the sizes are even, other programs put the centre of a symmetric psf there; ours is on a pixel.
    """
    offsets = centroid(weights).tolist()
    half = tuple(n % 2 == 0 and abs(d - 0.5) < _BETWEEN for n, d in zip(weights.shape, offsets, strict=True))
    mirrored = weights.flip([axis for axis, gap in enumerate(half) if gap])
    if not any(half) or float((weights - mirrored).abs().sum()) > _ASYMMETRY:
        return weights, (False,) * weights.ndim, False
    grown = F.pad(weights, [side for gap in reversed(half) for side in (0, int(gap))])
    moved, linear = interpolated(grown, [0.5 if gap else 0.0 for gap in half])
    return moved, half, linear
