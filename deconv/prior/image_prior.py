"""What every prior of images has in common, whatever its density is."""

from __future__ import annotations

import abc
import os
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CONTRAST", "ImagePrior", "Prior", "grid_offset"]

# Standard deviation of the photographs that priors are learnt from: what other images are scaled to.
CONTRAST = 0.235

# The level of the last pass over an image, in units of its noise.
_LAST_PASS = 0.4


@runtime_checkable
class Prior(Protocol):
    """What restoration needs to know of images.

    Images are tensors `(B, C, H, W)` with values in about [0, 1]; `sigma` is the standard deviation of white noise in
    them, in the same unit.
    """

    def log_prob(self, image: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density of each image with noise of `sigma`, in nats, `(B,)`."""
        ...

    def score(self, image: Tensor, sigma: float | None = None) -> Tensor:
        """The gradient of `log_prob` with respect to `image`."""
        ...

    def denoise(self, image: Tensor, sigma: float) -> Tensor:
        """The image without its noise."""
        ...


class ImagePrior(nn.Module, abc.ABC):
    r"""A density of images cut into square blocks, given the means of the blocks, at every level of noise.

    The grid of blocks is arbitrary, so a log-density is a mean over grids. Subclasses say what the density is.

    size: side of a block. sigma_min, sigma_max: the noise levels that the density knows; others are taken for the
    nearest of these. spacing: rows and columns between blocks with which restoration is best for its time.
    """

    spacing: int

    def __init__(self, size: int, sigma_min: float, sigma_max: float) -> None:
        super().__init__()
        self.size, self.sigma_min, self.sigma_max = size, sigma_min, sigma_max

    @classmethod
    def load(cls, prior: str | os.PathLike) -> Self:
        """A prior of this class by its name or from a file; see `deconv.prior.load_prior`."""
        from .store import load_prior

        loaded = load_prior(prior)
        if not isinstance(loaded, cls):
            raise ValueError(f"prior: {str(prior)!r} is a {type(loaded).__name__}, expected a {cls.__name__}")
        return loaded

    @abc.abstractmethod
    def log_prob(
        self,
        image: Tensor,
        sigma: float | None = None,
        *,
        stride: int = 8,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Log-density of each image, in nats, `(B,)`; differentiable.

        image: `(B, C, H, W)` in about [0, 1], not smaller than a block; channels count as images of their own.
        sigma: standard deviation of the noise in it; None: the least that the prior knows.
        stride: use grids of blocks that start at every so many rows and columns, `stride**2` times as fast as all of
            them; the side of a block: one grid, exact for what is in the blocks given their means.
        generator: draws where the first grid starts, so that the mean over many calls is that of stride 1; None: at
            the first pixel.

        Raises ValueError: an image smaller than a block; a stride beyond the side of a block.
        """

    @abc.abstractmethod
    def score(
        self,
        image: Tensor,
        sigma: float | None = None,
        *,
        stride: int = 8,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The gradient of `log_prob`, of the shape of `image`; takes the same arguments."""

    @abc.abstractmethod
    def tweedie(self, image: Tensor, sigma: float, *, stride: int, generator: torch.Generator | None = None) -> Tensor:
        r"""The mean of the clean images behind a noisy one, of any size, :math:`x + \sigma^2 \nabla \log p_\sigma(x)`,
        averaged over grids."""

    def denoise(
        self,
        image: Tensor,
        sigma: float,
        *,
        passes: int = 3,
        stride: int = 4,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        r"""Remove white noise, by the most probable image or, in one pass, by `tweedie`.

        One pass is what splitting algorithms ask for. What grids make of a pixel does not agree, though, and their mean
        is not a probable image; further passes are half-quadratic splitting of

        .. math:: \min_x \frac{\| x - y \|^2}{2\sigma^2} - \log p(x)

        image: y, `(B, C, H, W)` of any size, values in about [0, 1]. sigma: standard deviation of the noise.
        passes: at levels that fall from the noise to two fifths of it. stride, generator: as for `log_prob`.
        """
        if passes < 1:
            raise ValueError(f"passes: expected at least 1, given {passes}")
        x = image
        for k in range(passes):
            level = _LAST_PASS ** (k / max(passes - 1, 1))
            clean = self.tweedie(x, level * sigma, stride=stride, generator=generator)
            x = (level**2 * image + clean) / (level**2 + 1)
        return clean

    def nearest_level(self, sigma: float | None) -> float:
        """The noise level that the density knows; None: the least."""
        if sigma is None:
            return self.sigma_min
        if not sigma >= 0:
            raise ValueError(f"sigma: expected 0 or more, given {sigma}")
        return min(max(float(sigma), self.sigma_min), self.sigma_max)

    @property
    def _dtype(self) -> torch.dtype:
        """What the prior computes with, whatever the image's."""
        return next(self.buffers()).dtype


def grid_offset(stride: int, generator: torch.Generator | None) -> tuple[int, int]:
    """Where a grid starts, drawn; without a generator, at the first pixel."""
    if generator is None:
        return 0, 0
    row, column = torch.randint(stride, (2,), generator=generator).tolist()
    return row, column
