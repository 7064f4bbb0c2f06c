"""The restoration of other libraries, given the fairest treatment: padded by hand, with the best balance."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["rivals"]

Method = Callable[[Any, Any], np.ndarray]


def _padded(restore: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Method:
    """With the image mirrored by the size of the psf, which is made odd: skimage's centre is at ``size // 2``."""

    def run(image: np.ndarray, psf: Any) -> np.ndarray:
        kernel = np.asarray(psf, np.float32)
        kernel = np.pad(kernel, [(0, 1 - n % 2) for n in kernel.shape])
        rows, columns = kernel.shape
        canvas = np.pad(image, [(rows, rows), (columns, columns)], mode="symmetric")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return restore(canvas, kernel)[rows:-rows, columns:-columns]

    return run


def _wiener(balance: float) -> Method:
    from skimage.restoration import wiener

    return _padded(lambda canvas, kernel: wiener(canvas, kernel, balance, clip=False))


def _unsupervised() -> Method:
    from skimage.restoration import unsupervised_wiener

    return _padded(lambda canvas, kernel: unsupervised_wiener(canvas, kernel, clip=False, rng=0)[0])


def _richardson_lucy(count: int) -> Method:
    from skimage.restoration import richardson_lucy

    return _padded(lambda canvas, kernel: richardson_lucy(canvas.clip(0), kernel, num_iter=count, clip=False))


def rivals(library: str) -> dict[str, list[Method]]:
    """The methods of a library, by name, each with all the settings of which the best is taken."""
    if library != "skimage":
        raise ValueError(f"against: unknown {library!r}, allowed is skimage")
    return {
        "skimage wiener, best balance": [_wiener(balance) for balance in np.geomspace(1e-4, 1, 9)],
        "skimage unsupervised_wiener": [_unsupervised()],
        "skimage richardson_lucy, best count": [_richardson_lucy(count) for count in (10, 20, 30)],
    }
