"""One observation to restore, as the methods see it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..imaging.boundary import Boundary
from .arguments import as_sigma
from .padded_domain import PaddedDomain, fill
from .statistics import Statistics

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """An observation as the methods see it, in a unit of its own.

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
    unit : Tensor
        What a value of 1 here is in the given image, `(B or 1, 1, 1, 1)`: about its contrast, so that no product
        overflows or vanishes whatever unit the image has; and a power of two, so that nothing is rounded.
    """

    image: Tensor
    domain: PaddedDomain
    statistics: Statistics
    num_iter: int
    unit: Tensor

    @classmethod
    def of(
        cls,
        image: Tensor,
        psf: Tensor,
        *,
        num_iter: int,
        sigma: Any = None,
        boundary: Boundary = "unknown",
        mask: Tensor | None = None,
        clipped: Tensor | None = None,
        statistics: Statistics | None = None,
        apart: bool = True,
    ) -> Problem:
        """Set up the problem for tensors; the keywords are those of the public functions and of `PaddedDomain`."""
        if statistics is None:
            statistics = Statistics.of(image if mask is None else fill(image, mask), sigma)
        elif sigma is not None:
            statistics = replace(statistics, sigma=as_sigma(sigma, image))
        unit = statistics.unit
        domain = PaddedDomain(image / unit, psf, boundary=boundary, mask=mask, clipped=clipped, apart=apart)
        return cls(domain.image, domain, statistics.times(1 / unit), num_iter, unit)

    @property
    def space(self) -> int:
        """Number of spatial axes."""
        return self.image.ndim - 2

    @property
    def relative_noise(self) -> Tensor:
        """Standard deviation of the noise over the contrast, at most 1."""
        return self.statistics.sigma / self.statistics.contrast

    def in_own_unit(self, parameter: float | Tensor, power: float = 1.0) -> Tensor:
        """A parameter given in the image's unit to a power, in the problem's."""
        given = torch.as_tensor(parameter, device=self.image.device).double()
        return (given / self.unit.double() ** power).to(self.image.dtype)
