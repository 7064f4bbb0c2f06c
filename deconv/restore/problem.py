"""One observation to restore, as the methods see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..imaging.boundary import Boundary
from .arguments import as_sigma, per_channel
from .filling import fill
from .frames import one_for_each
from .padded_domain import PaddedDomain
from .psf_components import PsfComponents
from .statistics import Statistics

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """An observation as the methods see it, in a unit of its own.

    Parameters
    ----------
    image : Tensor
        `(B, C, H, W)` or `(B, C, D, H, W)`, missing pixels filled in; several frames along one more axis in front.
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
        psf: Tensor | PsfComponents | Sequence[PsfComponents],
        *,
        num_iter: int,
        sigma: Any = None,
        boundary: Boundary = "unknown",
        mask: Tensor | None = None,
        clipped: Tensor | None = None,
        statistics: Statistics | None = None,
        apart: bool = True,
        frames: bool = False,
        colours: bool = False,
    ) -> Problem:
        """Set up the problem for tensors; the keywords are those of the public functions and of `PaddedDomain`.

        frames: the tensors have one more axis in front, which counts frames, or there are the components of a field for
        each, and sigma may be a list. colours: the samples are opponent colours, see `PaddedDomain`.
        """
        shares = None
        if frames:
            space = image.ndim - 3
            known = image if mask is None else fill(image, mask, space=space)
            masks = [None] * len(image) if mask is None else mask.expand_as(image)
            levels = one_for_each("sigma", sigma, len(image))
            seen = zip(known, levels, masks, strict=True)
            each = [Statistics.of(frame, level, mask=own) for frame, level, own in seen]
            together, shares = Statistics.of_frames(each, space)
            statistics = together if statistics is None else replace(statistics, sigma=together.sigma)
        elif statistics is None:
            statistics = Statistics.of(image if mask is None else fill(image, mask), sigma, mask=mask)
        elif sigma is not None:
            statistics = replace(statistics, sigma=as_sigma(sigma, image))
        unit = statistics.unit
        if colours:  # three samples are one image
            unit = unit.unflatten(0, (-1, 3)).amax(1).repeat_interleave(3, 0)
        given = {"boundary": boundary, "mask": mask, "clipped": clipped, "apart": apart, "shares": shares}
        given["colours"] = colours
        domain = PaddedDomain(image / unit, psf, **given)
        return cls(domain.image, domain, statistics.times(1 / unit), num_iter, unit)

    @property
    def space(self) -> int:
        """Number of spatial axes."""
        return len(self.domain.shape)

    @property
    def mean_frame(self) -> Tensor:
        """The frames' mean by how much they count, `(B, C, H, W)`; the image, where it is one."""
        return self.domain.combine(self.image)

    @property
    def relative_noise(self) -> Tensor:
        """Standard deviation of the noise over the contrast, at most 1."""
        return self.statistics.sigma / self.statistics.contrast

    def per_channel(self, values: Any, *, name: str) -> Tensor:
        """Numbers from 0 on in the image's unit, one, `(B,)` or `(B, C)`, or a list of such for frames, as a tensor in
        the problem's unit that broadcasts against the image."""
        if self.domain.forward.shares is None:
            return self.in_own_unit(per_channel(values, self.image, name=name))
        each = one_for_each(name, values, len(self.image))
        numbers = [per_channel(value, self.image[0], name=name) for value in each]
        return torch.stack([self.in_own_unit(number) for number in torch.broadcast_tensors(*numbers)])

    def in_own_unit(self, parameter: float | Tensor, power: float = 1.0) -> Tensor:
        """A parameter given in the image's unit to a power, in the problem's."""
        given = torch.as_tensor(parameter, device=self.image.device).double()
        return (given / self.unit.double() ** power).to(self.image.dtype)
