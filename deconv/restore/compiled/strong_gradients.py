"""The passes of the L0 image step of blind estimation, see `deconv.blind.image_step`, compiled by numba.

In torch each of their operations is a pass over memory of its own, and all take twice as long as the transforms.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from numba import carray, complex64, float32, njit
from torch import Tensor

from ...solvers.compiled.cache import cached_cfunc
from ...solvers.compiled.memory_intrinsics import atomic_next, pointer, read_word, read_words
from ...solvers.compiled.parallel import run

__all__ = ["adjoint_of_strong", "solve"]

_BAND = 64  # rows that a thread takes at a time
_ZERO, _ONE = float32(0), float32(1)


def adjoint_of_strong(latent: Tensor, least: float) -> Tensor:
    """Of images `(N, H, W)` on a torus the gradients whose square is `least` at least, and the adjoint gradient of
    these."""
    latent = latent.contiguous()
    planes, height, width = latent.shape
    total = torch.empty_like(latent)
    tasks = planes * -(-height // _BAND)
    threads = max(1, min(torch.get_num_threads(), tasks))
    rows = latent.new_empty(threads, 3, width)
    number = latent.new_tensor([least])
    addresses = (each.data_ptr() for each in (latent, total, rows, number))
    run(_strong_kernel(), (*addresses, planes, height, width), tasks, threads)
    return total


def solve(spectrum: Tensor, data: Tensor, power: Tensor, laplacian: Tensor, penalty: Tensor) -> None:
    r"""Replace a spectrum s by :math:`(d + \beta s) / (p + \beta l)`.

    Parameters
    ----------
    spectrum, data : Tensor
        s and d, `(N, H, W)`, complex; s is contiguous.
    power : Tensor
        p, `(N, H, W)`.
    laplacian : Tensor
        l, `(H, W)`.
    penalty : Tensor
        :math:`\beta`, `(N, 1, 1)`.
    """
    planes, height, width = spectrum.shape
    tasks = planes * -(-height // _BAND)
    threads = max(1, min(torch.get_num_threads(), tasks))
    tensors = [each.resolve_conj().contiguous() for each in (spectrum, data, power, laplacian, penalty)]
    run(_solution_kernel(), (*(each.data_ptr() for each in tensors), planes, height, width), tasks, threads)


@lru_cache
def _strong_kernel():
    """Words: addresses of images, of what to write, of three rows for each thread, and of the least square; planes,
    height, width."""

    @cached_cfunc
    def kernel(table):
        image, total, rows, number, planes, height, width = read_words(table + 24, 7)
        x = carray(pointer(image, float32), (planes, height, width))
        out = carray(pointer(total, float32), (planes, height, width))
        least = carray(pointer(number, float32), 1)[0]
        own = carray(pointer(rows + atomic_next(table + 8) * 3 * width * 4, float32), (3, width))
        bands = (height + _BAND - 1) // _BAND
        task = atomic_next(table)
        while task < read_word(table + 16):
            plane, band = task // bands, task % bands
            first, stop = band * _BAND, min((band + 1) * _BAND, height)
            for i in range(first - 1, stop):
                row = i if i >= 0 else height - 1
                here, below = x[plane, row], x[plane, row + 1 if row + 1 < height else 0]
                down, above, ahead = own[i & 1], own[1 - (i & 1)], own[2]
                _strong(down, ahead, here, below, least)
                if i >= first:
                    _adjoint(out[plane, i], above, down, ahead)
            task = atomic_next(table)

    return kernel


@njit(error_model="numpy")
def _strong(down, ahead, here, below, least):
    last = len(here) - 1
    for j in range(last):
        a, b = below[j] - here[j], here[j + 1] - here[j]
        kept = _ONE if a * a + b * b >= least else _ZERO
        down[j], ahead[j] = a * kept, b * kept
    a, b = below[last] - here[last], here[0] - here[last]
    kept = _ONE if a * a + b * b >= least else _ZERO
    down[last], ahead[last] = a * kept, b * kept


@njit(error_model="numpy")
def _adjoint(out, above, down, ahead):
    out[0] = above[0] - down[0] + (ahead[len(out) - 1] - ahead[0])
    for j in range(1, len(out)):
        out[j] = above[j] - down[j] + (ahead[j - 1] - ahead[j])


@lru_cache
def _solution_kernel():
    """Words: addresses of the spectrum, which becomes the solution, of data, power, laplacian, and penalties; planes,
    height, width."""

    @cached_cfunc
    def kernel(table):
        spectrum, data, powers, laplacian, penalties, planes, height, width = read_words(table + 24, 8)
        s = carray(pointer(spectrum, complex64), (planes, height * width))
        d = carray(pointer(data, complex64), (planes, height * width))
        p = carray(pointer(powers, float32), (planes, height * width))
        roughness = carray(pointer(laplacian, float32), height * width)
        settings = carray(pointer(penalties, float32), planes)
        bands = (height + _BAND - 1) // _BAND
        task = atomic_next(table)
        while task < read_word(table + 16):
            plane, band = task // bands, task % bands
            a, b = band * _BAND * width, min((band + 1) * _BAND, height) * width
            _solve(s[plane, a:b], d[plane, a:b], p[plane, a:b], roughness[a:b], settings[plane])
            task = atomic_next(table)

    return kernel


@njit(error_model="numpy")
def _solve(spectrum, data, power, laplacian, penalty):
    for j in range(len(spectrum)):
        inverse = _ONE / (power[j] + penalty * laplacian[j])
        real = (data[j].real + penalty * spectrum[j].real) * inverse
        imaginary = (data[j].imag + penalty * spectrum[j].imag) * inverse
        spectrum[j] = complex(real, imaginary)
