"""What every prior of images has in common, whatever its density is."""

from __future__ import annotations

import abc
import copy
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..ops.lasting import lasting
from .files import read_prior_file

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CONTRAST", "ImagePrior", "Prior"]

# Standard deviation of the photographs that priors are learnt from: what other images are scaled to.
CONTRAST = 0.235

# The noise level of the last pass over an image, in units of its noise.
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

    Where the grid of blocks begins is arbitrary, so a log-density is a mean over grids. Subclasses say what the density
    is.

    Parameters
    ----------
    size : int
        Side of a block, in pixels.
    sigma_min, sigma_max : float
        The noise levels that the density knows; others are taken for the nearest of these.

    Attributes
    ----------
    spacing : int
        Rows and columns from one block to the next with which restoration is best for its time.
    kind : str
        What files call the class; empty for one that has no files.
    spread : float
        How many times too small the deviations of draws from its posterior are, measured on photographs.
    refined_spread : float
        The same of draws that trajectories have refined, see `deconv.restore.metropolis`.
    """

    spacing: ClassVar[int]
    spread: ClassVar[float] = 1.0
    refined_spread: ClassVar[float] = 1.0
    kind: ClassVar[str] = ""

    def __init__(self, size: int, sigma_min: float, sigma_max: float) -> None:
        super().__init__()
        if not 0 < sigma_min < sigma_max < float("inf"):
            raise ValueError(f"sigma_min, sigma_max: expected 0 < sigma_min < sigma_max, given {sigma_min, sigma_max}")
        self.size, self.sigma_min, self.sigma_max = size, sigma_min, sigma_max

    @property
    def config(self) -> dict[str, Any]:
        """What `from_tensors` needs besides the tensors, as JSON can say it."""
        return {"sigma_min": self.sigma_min, "sigma_max": self.sigma_max}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Self:
        """The prior with these tensors, those of its ``state_dict()``, ready to be used.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            By name.
        config : mapping
            See `config`.

        Returns
        -------
        ImagePrior
            In evaluation mode.
        """
        raise NotImplementedError(f"{cls.__name__} has no files")

    @classmethod
    @lasting
    def load(cls, prior: str | os.PathLike) -> Self:
        """A prior of this class by its name or from a file; see `deconv.prior.load_prior`.

        Parameters
        ----------
        prior : str or path-like
            A name or a file.

        Returns
        -------
        ImagePrior
            Of this class.

        Raises
        ------
        FileNotFoundError
            Neither a name nor a file.
        ValueError
            A prior of another class, or a damaged file.
        """
        found = read_prior_file(prior)
        if found.kind != cls.kind:
            raise ValueError(f"prior: {str(prior)!r} holds a prior of the kind {found.kind!r}, expected {cls.kind!r}")
        return found.build(cls.from_tensors)

    @abc.abstractmethod
    def log_prob(
        self,
        image: Tensor,
        sigma: float | None = None,
        *,
        stride: int = 8,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Log-density of each image; differentiable.

        Parameters
        ----------
        image : Tensor
            `(B, C, H, W)` in about [0, 1], not smaller than a block; channels count as images of their own.
        sigma : float, optional
            Standard deviation of the noise in it; by default the least that the prior knows.
        stride : int
            Use grids of blocks that start at every so many rows and columns, `stride**2` times as fast as all of them;
            the side of a block: one grid, exact for what is in the blocks given their means.
        generator : torch.Generator, optional
            Draws where the first grid starts, so that the mean over many calls is that of stride 1; by default at the
            first pixel.

        Returns
        -------
        Tensor
            Nats, `(B,)`.

        Raises
        ------
        ValueError
            An image smaller than a block, or a stride beyond the side of a block.
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
        """The gradient of `log_prob`.

        Parameters
        ----------
        image, sigma, stride, generator : as for `log_prob`
            The same.

        Returns
        -------
        Tensor
            Of the shape of `image`.
        """

    @abc.abstractmethod
    def tweedie(self, image: Tensor, sigma: float, *, stride: int, generator: torch.Generator | None = None) -> Tensor:
        r"""The mean of the clean images behind a noisy one, averaged over grids.

        .. math:: x + \sigma^2 \nabla \log p_\sigma(x)

        Parameters
        ----------
        image : Tensor
            x, `(B, C, H, W)` of any size.
        sigma, stride, generator : as for `log_prob`
            The same.

        Returns
        -------
        Tensor
            Of the shape of `image`.
        """

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

        Parameters
        ----------
        image : Tensor
            y, `(B, C, H, W)` of any size, values in about [0, 1].
        sigma : float
            Standard deviation of the noise.
        passes : int
            At noise levels that fall from `sigma` to two fifths of it.
        stride, generator : as for `log_prob`
            The same.

        Returns
        -------
        Tensor
            Of the shape of `image`.

        Raises
        ------
        ValueError
            Fewer passes than one, or a stride beyond the side of a block.
        """
        if passes < 1:
            raise ValueError(f"passes: expected at least 1, given {passes}")
        x = clean = image
        for k in range(passes):
            level = _LAST_PASS ** (k / max(passes - 1, 1))
            clean = self.tweedie(x, level * sigma, stride=stride, generator=generator)
            x = (level**2 * image + clean) / (level**2 + 1)
        return clean

    def on(self, device: torch.device) -> Self:
        """Itself where that is its device, else a copy there: not the one that others hold."""
        return self if next(self.buffers()).device == device else copy.deepcopy(self).to(device)

    def nearest_level(self, sigma: float | None) -> float:
        """The noise level that the density knows; None: the least."""
        if sigma is None:
            return self.sigma_min
        if not sigma >= 0:
            raise ValueError(f"sigma: expected 0 or more, given {sigma}")
        return min(max(float(sigma), self.sigma_min), self.sigma_max)

    def _planes(self, image: Tensor) -> Tensor:
        """The channels of images `(B, C, H, W)` not smaller than a block, `(B C, H, W)`."""
        if image.ndim != 4 or min(image.shape[-2:]) < self.size:
            raise ValueError(f"image: expected (B, C, H, W) of {self.size} or more pixels, given {tuple(image.shape)}")
        return image.flatten(0, 1).to(self._dtype)

    @property
    def _dtype(self) -> torch.dtype:
        """What the prior computes with, whatever the image's."""
        return next(self.buffers()).dtype
