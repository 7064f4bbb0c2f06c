r"""From a density of patches to a prior of images of any size.

The log-density of an image under a density p of n x n patches is taken as the mean, over all ways to cut the image into
patches, of the sum of theirs (the expected patch log-likelihood of Zoran and Weiss):

.. math:: \log p(x) = \frac{\#\text{pixels}}{n^2} \, \operatorname{mean}_i \log p(P_i x)

It is conditional on the noise: :math:`p_\sigma` is the density of a clean patch plus white noise, and by Tweedie's
formula :math:`v + \sigma^2 \nabla \log p_\sigma(v)` is the mean of the clean patches behind a noisy one.
"""

from __future__ import annotations

import abc

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..imaging.boundary import crop, extend
from ..ops.tracking import is_transformed
from .image_prior import ImagePrior
from .patches import PatchGrid
from .score import log_prob_and_score
from .tilings import grid_offset

__all__ = ["PatchPrior"]


class PatchPrior(ImagePrior):
    """A prior of images made of a density of their patches; subclasses say what that density is.

    Patches of a grid may overlap: all that start at every `stride`-th row and column are used at once.

    Parameters
    ----------
    size : int
        Side of a patch, in pixels.
    sigma_min, sigma_max : float
        The noise levels that the density knows; others are taken for the nearest of these.
    """

    spacing = 3

    @abc.abstractmethod
    def patch_log_prob(self, coefficients: Tensor, sigma: float) -> Tensor:
        """Log-density of noisy patches.

        Parameters
        ----------
        coefficients : Tensor
            Of `cosine_basis`, `(N, size^2 - 1)`.
        sigma : float
            Standard deviation of the noise in them.

        Returns
        -------
        Tensor
            Nats, `(N,)`.
        """

    def patch_score(self, coefficients: Tensor, sigma: float) -> Tensor:
        """Gradient of `patch_log_prob`, `(N, size^2 - 1)`; itself differentiable where gradients are recorded."""
        return log_prob_and_score(lambda v: self.patch_log_prob(v, sigma), coefficients)[1]

    def patch_denoise(self, coefficients: Tensor, sigma: float) -> Tensor:
        """The mean of the clean patches behind noisy ones, by Tweedie's formula."""
        level = self.nearest_level(sigma)
        return coefficients + sigma**2 * self.patch_score(coefficients, level)

    def log_prob(
        self,
        image: Tensor,
        sigma: float | None = None,
        *,
        stride: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        grid, planes = self._on_grid(image, stride, generator)
        level, total = self.nearest_level(sigma), torch.zeros_like(planes[:, 0, 0])
        for rows in grid.bands(planes):
            band = grid, planes[:, rows], level
            if is_transformed():  # which checkpoints do not work in
                total = total + self._band_log_prob(*band)
            else:
                total = total + checkpoint(self._band_log_prob, *band, use_reentrant=False)
        return (self._share(grid, planes, image) * total).view(image.shape[:2]).sum(1).to(image.dtype)

    def score(
        self,
        image: Tensor,
        sigma: float | None = None,
        *,
        stride: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        grid, planes = self._on_grid(image, stride, generator)
        level = self.nearest_level(sigma)
        gradient = torch.zeros_like(planes)
        for rows in grid.bands(planes):
            gradient[:, rows] += grid.scatter(self.patch_score(grid.gather(planes[:, rows]), level), planes[:, rows])
        gradient = self._share(grid, planes, image) * gradient
        top, left = (n - m for n, m in zip(image.shape[-2:], planes.shape[-2:], strict=True))
        return nn.functional.pad(gradient, (left, 0, top, 0)).view_as(image).to(image.dtype)

    def tweedie(self, image: Tensor, sigma: float, *, stride: int, generator: torch.Generator | None = None) -> Tensor:
        grid = PatchGrid(self.size, stride)
        margins = [
            grid.margins(n, offset) for n, offset in zip(image.shape[-2:], grid_offset(stride, generator), strict=True)
        ]
        planes = extend(image.flatten(0, 1).to(self._dtype), margins, method="reflect")
        change = torch.zeros_like(planes)
        for rows in grid.bands(planes):
            noisy = grid.gather(planes[:, rows])
            change[:, rows] += grid.scatter(self.patch_denoise(noisy, sigma) - noisy, planes[:, rows])
        return crop(planes + change / grid.counts(planes), margins).view_as(image).to(image.dtype)

    def _on_grid(self, image: Tensor, stride: int, generator: torch.Generator | None) -> tuple[PatchGrid, Tensor]:
        """The grid and the part of the image's planes on which it lies."""
        grid, planes = PatchGrid(self.size, stride), self._planes(image)
        top, left = (
            o % (n - self.size + 1) for n, o in zip(image.shape[-2:], grid_offset(stride, generator), strict=True)
        )
        return grid, planes[:, top:, left:]

    def _band_log_prob(self, grid: PatchGrid, band: Tensor, sigma: float) -> Tensor:
        return self.patch_log_prob(grid.gather(band), sigma).view(len(band), -1).sum(1)

    @staticmethod
    def _share(grid: PatchGrid, planes: Tensor, image: Tensor) -> float:
        """What one patch counts for."""
        rows, columns = ((n - grid.size) // grid.stride + 1 for n in planes.shape[1:])
        return image.shape[-2] * image.shape[-1] / (grid.size**2 * rows * columns)
