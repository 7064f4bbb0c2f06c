"""The factor of total variation in Richardson-Lucy, in one pass over memory, compiled by numba.

In torch the differences along each axis, their length, and the divergence are some twenty-five passes over the volume.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numba import carray, float32, float64, njit
from torch import Tensor

from ...solvers.compiled.cache import cached_cfunc
from ...solvers.compiled.memory_intrinsics import atomic_next, pointer, read_word, read_words
from ...solvers.compiled.parallel import run
from .rows import add_squares, ahead, behind, difference, filled

__all__ = ["divide_by_smoothing"]


def divide_by_smoothing(target: Tensor, latent: Tensor, weight: Tensor, flat: Tensor, least: float) -> Tensor:
    r"""Divide in place by :math:`\max(1 - \tau\,\mathrm{div}(\nabla x / (|\nabla x| + f)), l)`, on a torus.

    Parameters
    ----------
    target, latent : Tensor
        What is divided, and x: `(B, C, H, W)` or `(B, C, D, H, W)`, contiguous, of one dtype.
    weight, flat : Tensor
        :math:`\tau` and f, one for all pixels of a channel: broadcast against x.
    least : float
        l.

    Returns
    -------
    Tensor
        `target`.
    """
    # An image is a volume whose planes have one row: nothing differs along an axis of one.
    depth, *rows, width = latent.shape[2:]
    height = rows[0] if rows else 1
    volumes = latent.shape[:2].numel()
    threads = torch.get_num_threads()
    band = -(-depth // (2 * threads))  # planes that a thread takes at a time, each with the one before them
    tasks = volumes * -(-depth // band)
    threads = max(1, min(threads, tasks))
    each = (*latent.shape[:2], *[1] * (latent.ndim - 2))
    numbers = torch.stack([value.to(latent).expand(each).flatten() for value in (weight, flat)])
    limits = latent.new_tensor([least, torch.finfo(latent.dtype).tiny])
    own = latent.new_empty(threads, height + 6, width)
    addresses = (target.data_ptr(), latent.data_ptr(), numbers.data_ptr(), limits.data_ptr(), own.data_ptr())
    run(_kernel(latent.element_size()), (*addresses, volumes, depth, height, width, band), tasks, threads)
    return target


@lru_cache
def _kernel(itemsize: int):
    """Words: addresses of target, image, weight and f of each volume, least factor and least square, and of height + 6
    rows for each thread; volumes, depth, height, width, planes of a task."""
    scalar = float32 if itemsize == 4 else float64
    one = scalar(1)

    @cached_cfunc
    def kernel(table):
        target, image, numbers, limits, rows, volumes, depth, height, width, band = read_words(table + 24, 10)
        size = volumes * depth * height * width
        out = carray(pointer(target, scalar), size)
        x = carray(pointer(image, scalar), size)
        settings = carray(pointer(numbers, scalar), 2 * volumes)
        least, tiny = carray(pointer(limits, scalar), 2)
        count = height + 6
        own = carray(pointer(rows + atomic_next(table + 8) * count * width * itemsize, scalar), (count, width))
        across, along, deep, scale, total, above, before = own[0], own[1], own[2], own[3], own[4], own[5], own[6:]
        bands = (depth + band - 1) // band
        task = atomic_next(table)
        while task < read_word(table + 16):
            volume, first = task // bands, task % bands * band
            weight, flat = settings[volume], settings[volumes + volume]
            # Of the plane before the first only what flows on from it; of each plane first what its last row sends on.
            for plane in range(first - 1, min(first + band, depth)):
                k = plane if plane >= 0 else depth - 1
                here = (volume * depth + k) * height
                there = (volume * depth + (k + 1 if k + 1 < depth else 0)) * height
                for i in range(0 if plane < first else -1, height):
                    j = i if i >= 0 else height - 1
                    p = (here + j) * width
                    q = (here + (j + 1 if j + 1 < height else 0)) * width
                    r = (there + j) * width
                    row = x[p : p + width]
                    ahead(across, row, one)
                    difference(along, x[q : q + width], row)
                    difference(deep, x[r : r + width], row)
                    filled(scale, scalar(0))
                    add_squares(scale, across)
                    add_squares(scale, along)
                    add_squares(scale, deep)
                    _inverse_lengths(scale, flat, tiny, one)
                    if plane < first:
                        _product(before[j], deep, scale)
                    elif i < 0:
                        _product(above, along, scale)
                    else:
                        _product(across, across, scale)
                        behind(total, across, one)
                        _pass_on(total, above, along, scale)
                        _pass_on(total, before[j], deep, scale)
                        _divide(out[p : p + width], total, weight, least, one)
            task = atomic_next(table)

    return kernel


@njit(error_model="numpy")
def _inverse_lengths(squares, flat, tiny, one):
    for j in range(len(squares)):
        square = squares[j] if squares[j] > tiny else tiny
        squares[j] = one / (np.sqrt(square) + flat)


@njit(error_model="numpy")
def _product(out, row, scale):
    for j in range(len(out)):
        out[j] = row[j] * scale[j]


@njit(error_model="numpy")
def _pass_on(total, before, row, scale):
    """What comes in, less what goes on, which is kept for the next row."""
    for j in range(len(total)):
        flux = row[j] * scale[j]
        total[j] += before[j] - flux
        before[j] = flux


@njit(error_model="numpy")
def _divide(out, total, weight, least, one):
    for j in range(len(out)):
        factor = one + weight * total[j]
        out[j] /= factor if factor > least else least
