"""The axes of a stack, T, C, Z, Y and X in any order, as the samples and channels that are restored."""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["from_samples", "to_samples"]

_ALL = "TCZYX"


def to_samples(values: np.ndarray, axes: str, space: Literal[2, 3]) -> np.ndarray:
    """The stack as samples that each have their channels.

    Parameters
    ----------
    values : ndarray
        The stack.
    axes : str
        What its axes count, some of T, C, Z, Y, X.
    space : {2, 3}
        Number of spatial axes: with 3 the slices are one volume, with 2 each is an image of its own.

    Returns
    -------
    ndarray
        `(T, C, Z, Y, X)`, or `(T Z, C, Y, X)`; axes that are not there have one entry.

    Raises
    ------
    ValueError
        There are no slices for a volume.
    """
    if space == 3 and "Z" not in axes:
        raise ValueError(f"its axes are {axes}, no slices (Z); expected some for a psf of three axes")
    present = "".join(axis for axis in _ALL if axis in axes)
    full = values.transpose([axes.index(axis) for axis in present])
    full = full.reshape([values.shape[axes.index(axis)] if axis in axes else 1 for axis in _ALL])
    if space == 3:
        return full
    planes = full.swapaxes(1, 2)
    return planes.reshape(-1, *planes.shape[2:])


def from_samples(samples: np.ndarray, shape: tuple[int, ...], axes: str, space: Literal[2, 3]) -> np.ndarray:
    """The inverse of `to_samples`, also where the spatial axes have other sizes by now.

    Parameters
    ----------
    samples : ndarray
        As `to_samples` makes them.
    shape : tuple of int
        Of the stack that they were made of.
    axes, space : str, {2, 3}
        As for `to_samples`.

    Returns
    -------
    ndarray
        With the axes of the stack.
    """
    times, channels, slices = (shape[axes.index(axis)] if axis in axes else 1 for axis in "TCZ")
    if space == 2:
        samples = samples.reshape(times, slices, channels, *samples.shape[2:]).swapaxes(1, 2)
    present = [axis for axis in _ALL if axis in axes]
    kept = samples.reshape([n for axis, n in zip(_ALL, samples.shape, strict=True) if axis in axes])
    return kept.transpose([present.index(axis) for axis in axes])
