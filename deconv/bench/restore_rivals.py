"""The restoration of other libraries, treated fairly: padded by hand, with the best of several settings."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from deconv.choices import check_choice

__all__ = ["rivals"]

Method = Callable[[Any, Any], np.ndarray]


def _odd(psf: Any) -> np.ndarray:
    """The psf with an odd number of rows and columns and the same centre, `size // 2`."""
    values = np.asarray(psf, np.float32)
    return np.pad(values, [(0, 1 - n % 2) for n in values.shape])


def _padded(restore: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Method:
    """With the image mirrored by the size of the psf."""

    def run(image: np.ndarray, psf: Any) -> np.ndarray:
        psf = _odd(psf)
        rows, columns = psf.shape
        padded = np.pad(image, [(rows, rows), (columns, columns)], mode="symmetric")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return restore(padded, psf)[rows:-rows, columns:-columns]

    return run


def _wiener(balance: float) -> Method:
    from skimage.restoration import wiener

    return _padded(lambda padded, psf: wiener(padded, psf, balance, clip=False))


def _unsupervised() -> Method:
    from skimage.restoration import unsupervised_wiener

    return _padded(lambda padded, psf: unsupervised_wiener(padded, psf, clip=False, rng=0)[0])


def _richardson_lucy(count: int) -> Method:
    from skimage.restoration import richardson_lucy

    return _padded(lambda padded, psf: richardson_lucy(padded.clip(0), psf, num_iter=count, clip=False))


def _skimage() -> dict[str, list[Method]]:
    return {
        "skimage wiener, best balance": [_wiener(balance) for balance in np.geomspace(1e-4, 1, 9)],
        "skimage unsupervised_wiener": [_unsupervised()],
        "skimage richardson_lucy, best count": [_richardson_lucy(count) for count in (10, 20, 30)],
    }


def _smoothly_wrapped_wiener(weight: float) -> Method:
    """deepinv's Wiener filter of the image continued periodically by its own padding, after Liu and Jia."""
    import torch
    from deepinv.models import WienerDeconvolution
    from deepinv.physics import BlurFFT
    from deepinv.physics.functional import liu_jia_pad

    def run(image: np.ndarray, psf: Any) -> np.ndarray:
        taps = torch.from_numpy(_odd(psf))[None, None]
        rows, columns = taps.shape[2:]
        padded = liu_jia_pad(torch.from_numpy(image)[None, None], padding=(rows, columns))
        physics = BlurFFT(img_size=tuple(padded.shape[1:]), filter=taps)
        restored = WienerDeconvolution(lambda_reg=weight)(padded, physics)
        return restored[0, 0, rows:-rows, columns:-columns].numpy()

    return run


def _admm_tv(weight: float) -> Method:
    """deepinv's total variation by the alternating direction method, with the boundary unknown as it should be."""
    import torch
    from deepinv.optim import ADMM, L2, TVPrior
    from deepinv.physics import Blur

    def run(image: np.ndarray, psf: Any) -> np.ndarray:
        taps = torch.from_numpy(_odd(psf))[None, None]
        rows, columns = (n // 2 for n in taps.shape[2:])
        physics = Blur(filter=taps, padding="valid", use_fft=True)
        prior = TVPrior(n_it_max=10)
        model = ADMM(data_fidelity=L2(), prior=prior, lambda_reg=weight, stepsize=20.0, max_iter=60, early_stop=True)
        with torch.no_grad():
            latent = model(torch.from_numpy(image)[None, None], physics)[0, 0].numpy()
        return latent[rows : latent.shape[0] - rows, columns : latent.shape[1] - columns]

    return run


def _deepinv() -> dict[str, list[Method]]:
    if importlib.util.find_spec("deepinv") is None:
        raise ValueError("against: deepinv is not installed")
    return {
        "deepinv Liu-Jia + Wiener, best weight": [_smoothly_wrapped_wiener(w) for w in np.geomspace(3e-4, 0.3, 10)],
        "deepinv ADMM-TV, best weight": [_admm_tv(weight) for weight in (0.0005, 0.001, 0.002, 0.004, 0.008)],
    }


_LIBRARIES = {"skimage": _skimage, "deepinv": _deepinv}


def rivals(library: str) -> dict[str, list[Method]]:
    """The methods of a library, by name, each with all the settings of which the best is taken."""
    check_choice("against", library, _LIBRARIES)
    return _LIBRARIES[library]()
