"""The table of restoration methods: a new one is one more row, and gets every test."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deconv import restore
from deconv.imaging import degrade
from deconv.imaging.psf import motion


@dataclass(frozen=True)
class Row:
    """One method and what is true of it.

    gain: decibels that it adds to `observation`, at least.
    close: decibels to which results agree that rounding alone tells apart; nonconvex priors decide between scenes.
    steady: decibels to which moving the psf only moves the result, on a circular boundary.
    apart: decibels to which channels restored together agree with channels restored one by one.
    """

    function: Callable[..., Any]
    gain: float
    close: float = 70
    steady: float = 70
    apart: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, image: Any, psf: Any, **keywords: Any) -> Any:
        return self.function(image, psf, **(self.options | keywords))


METHODS = {
    "epll": Row(restore.epll, 4.5, close=38, steady=30, options={"num_iter": 4, "stride": 4}),
    "hyper_laplacian": Row(restore.hyper_laplacian, 5.0, close=40),
    "hyper_laplacian, first order": Row(
        restore.hyper_laplacian, 4.0, close=35, options={"alpha": 2 / 3, "second_order": 0}
    ),
    "l0_gradient": Row(restore.l0_gradient, 3.3, close=28, steady=28),
    "plug_and_play": Row(restore.plug_and_play, 5.0, close=45, steady=33, apart=33, options={"num_iter": 6}),
    "plug_and_play, multipliers": Row(
        restore.plug_and_play, 4.0, close=45, steady=33, apart=33, options={"num_iter": 6, "multipliers": True}
    ),
    "richardson_lucy": Row(restore.richardson_lucy, 4.0),
    "richardson_lucy, plain": Row(restore.richardson_lucy, 2.0, options={"tv": 0, "accelerate": False, "num_iter": 15}),
    "richardson_lucy, damped": Row(restore.richardson_lucy, 1.8, options={"tv": 0, "damping": 3.0}),
    "tikhonov": Row(restore.tikhonov, 3.0),
    "tikhonov, first order": Row(restore.tikhonov, 2.5, options={"order": 1}),
    "total_variation": Row(restore.total_variation, 4.8),
    "total_variation, anisotropic": Row(restore.total_variation, 4.8, options={"isotropic": False}),
    "unsupervised_wiener": Row(restore.unsupervised_wiener, 3.0),
    "wiener": Row(restore.wiener, 3.0, apart=35),
}

PSF = motion(7, 30).double()
"""5 x 7."""


@functools.cache
def scene() -> np.ndarray:
    """96 x 80 pixels of a photograph, float64."""
    from skimage import data

    return data.camera()[100:196, 200:280] / 255


def agreement(a: Any, b: Any) -> float:
    """Peak signal-to-noise ratio of two arrays of the same shape, whatever their layout."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    return -10 * np.log10(max(np.square(a - b).mean(), 1e-20))


def observation(boundary: str = "valid") -> np.ndarray:
    """The scene, blurred, with 1 % noise."""
    return degrade(scene(), PSF, noise=0.01, seed=0, boundary=boundary)


def field_of_view() -> np.ndarray:
    """The part of the scene that `observation` shows."""
    return scene()[2:-2, 3:-3]
