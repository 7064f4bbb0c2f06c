"""Every row of `deconv.restore.METHODS`, and some variants, with what is expected of each.

A new method gets every test at the expectations that `Row` has by default; what it does better is a row of `EXPECTED`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from deconv.imaging import degrade
from deconv.imaging.psf import motion
from deconv.restore import METHODS, Method
from deconv.restore.padded_domain import PaddedDomain


@dataclass(frozen=True)
class Row:
    """One method and what is true of it.

    gain: decibels that it adds to `observation`, at least.
    close: decibels to which results agree that rounding alone tells apart; nonconvex priors decide between images.
    steady: decibels to which moving the psf only moves the result, on a circular boundary.
    exact: decibels to which no blur and no noise leave the image as it is.
    apart: decibels to which channels restored together agree with channels restored one by one.
    options: that make it quick.
    """

    method: Method
    gain: float = 1.0
    close: float = 28
    steady: float = 28
    exact: float = 80
    apart: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def function(self) -> Callable[..., Any]:
        return self.method.load()

    def __call__(self, image: Any, psf: Any, **keywords: Any) -> Any:
        return self.method(image, psf, **(self.options | keywords))


EXPECTED: dict[str, dict[str, Any]] = {
    "epll": {"gain": 4.5, "close": 38, "options": {"num_iter": 3, "stride": 8}},
    # By the mixture, which is quicker than the flow: what is tested here is common to both.
    "flow": {"gain": 3.0, "close": 38, "options": {"num_iter": 2, "stride": 8, "prior": "gmm"}},
    "hyper_laplacian": {"gain": 5.0, "close": 40, "steady": 70},
    "l0_gradient": {"gain": 3.3},
    "network": {"gain": 5.0, "close": 38, "exact": 45},
    "plug_and_play": {"gain": 5.0, "close": 45, "steady": 33, "apart": 33, "options": {"num_iter": 6}},
    # The lower the ratio, the larger the spectral factor, and the longer it takes.
    "recursive": {"gain": 3.0, "close": 40, "apart": 35, "exact": 38, "options": {"noise_to_signal": 1e-3}},
    "richardson_lucy": {"gain": 4.0, "close": 70, "steady": 70},
    "tikhonov": {"gain": 3.0, "close": 70, "steady": 70},
    "total_variation": {"gain": 4.8, "close": 70, "steady": 70},
    "unsupervised_wiener": {"gain": 3.0, "close": 70, "steady": 70},
    "wiener": {"gain": 3.0, "close": 70, "steady": 70, "apart": 35},
}

# By name, the method, what it is asked for, and what is expected of it then.
VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "hyper_laplacian, first order": (
        "hyper_laplacian",
        {"alpha": 2 / 3, "second_order": 0},
        {"gain": 4.0, "close": 35, "steady": 70},
    ),
    "plug_and_play, multipliers": (
        "plug_and_play",
        {"num_iter": 6, "multipliers": True},
        {"gain": 4.0, "close": 45, "steady": 33, "apart": 33},
    ),
    "richardson_lucy, plain": (
        "richardson_lucy",
        {"tv": 0, "accelerate": False, "num_iter": 15},
        {"gain": 2.0, "close": 70, "steady": 70},
    ),
    "richardson_lucy, damped": (
        "richardson_lucy",
        {"tv": 0, "damping": 3.0},
        {"gain": 1.8, "close": 70, "steady": 70},
    ),
    "tikhonov, first order": ("tikhonov", {"order": 1}, {"gain": 2.5, "close": 70, "steady": 70}),
    "total_variation, anisotropic": (
        "total_variation",
        {"isotropic": False},
        {"gain": 4.8, "close": 70, "steady": 70},
    ),
}

ROWS = {name: Row(method, **EXPECTED.get(name, {})) for name, method in METHODS.items()} | {
    name: Row(METHODS[method], options=options, **expected) for name, (method, options, expected) in VARIANTS.items()
}

PSF = motion(7, 30).double()
"""5 x 7."""

SMALL_PSF = torch.tensor([[0.1, 0.4, 0.2], [0.0, 0.1, 0.2]], dtype=torch.float64)


@functools.cache
def latent_image() -> np.ndarray:
    """96 x 80 pixels of a photograph, float64."""
    from skimage import data

    return data.camera()[100:196, 200:280] / 255


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal values, float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def agreement(a: Any, b: Any) -> float:
    """Peak signal-to-noise ratio of two arrays of the same shape, whatever their layout."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    return -10 * np.log10(max(np.square(a - b).mean(), 1e-20))


def observation(boundary: str = "valid") -> np.ndarray:
    """The latent image, blurred, with 1 % noise."""
    return degrade(latent_image(), PSF, noise=0.01, seed=0, boundary=boundary)


def photograph() -> np.ndarray:
    """300 x 340 pixels of a photograph, blurred, with 1 % noise."""
    from skimage import data

    return degrade(data.camera()[:300, :340] / np.float32(255), PSF.float(), noise=0.01, seed=0)


def corner() -> np.ndarray:
    """48 x 40 pixels of `observation`, for what does not depend on the size."""
    return observation()[:48, :40]


def field_of_view() -> np.ndarray:
    """The part of the latent image that `observation` shows."""
    return latent_image()[2:-2, 3:-3]


def domain(boundary: str, *, mask: bool = False, shape: tuple[int, ...] = (1, 1, 7, 9)) -> PaddedDomain:
    """A random image under `SMALL_PSF`, with pixels missing at random under a mask."""
    weight = (random(*shape, seed=2) > -0.5).double() if mask else None
    return PaddedDomain(random(*shape), SMALL_PSF, boundary=boundary, mask=weight)
