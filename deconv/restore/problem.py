"""One observation to restore, as the methods see it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..imaging.boundary import Boundary
from .arguments import as_mask, as_sigma
from .padded_domain import PaddedDomain
from .statistics import Statistics

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """An observation as the methods see it.

    Parameters
    ----------
    image : Tensor
        `(B, C, H, W)` or `(B, C, D, H, W)`, missing pixels filled in.
    domain : PaddedDomain
        Where the latent image is laid out.
    statistics : Statistics
        What automatic parameters are chosen by.
    num_iter : int
        How many iterations there will be at most, for methods with a schedule.
    """

    image: Tensor
    domain: PaddedDomain
    statistics: Statistics
    num_iter: int

    @classmethod
    def of(
        cls,
        image: Tensor,
        psf: Tensor,
        *,
        num_iter: int,
        sigma: Any = None,
        boundary: Boundary = "unknown",
        mask: Any = None,
        statistics: Statistics | None = None,
    ) -> Problem:
        """Set up the problem for tensors; the keywords are those of the public functions."""
        domain = PaddedDomain(image, psf, boundary=boundary, mask=as_mask(mask, image))
        if statistics is None:
            statistics = Statistics.of(domain.image, sigma)
        elif sigma is not None:
            statistics = replace(statistics, sigma=as_sigma(sigma, image))
        return cls(domain.image, domain, statistics, num_iter)

    @property
    def space(self) -> int:
        """Number of spatial axes."""
        return self.image.ndim - 2

    @property
    def relative_noise(self) -> Tensor:
        """Standard deviation of the noise over the contrast, at most 1."""
        return self.statistics.sigma / self.statistics.contrast
