"""Random paths of a point of light, many at a time: lines from corner to corner, rounded, with rests at the corners."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["RandomPaths"]

_MOST_CORNERS = 6
# The mean time at rest on a corner, over that on the way to the next one; the instants that a path is cut into.
_DWELL, _INSTANTS = 0.3, 256
# The greatest share of the exposure that a place is averaged over, which rounds the corners, and the least share of the
# window that a path fills.
_ROUNDEST, _SMALLEST = 0.5, 0.5


@dataclass(frozen=True)
class RandomPaths:
    """Paths, and how they may vary.

    Attributes
    ----------
    corners : Tensor
        Places, `(N, 6, 2)`; those after a path's last one are not reached.
    times : Tensor
        At rest on each corner and on the way to the next, in turn, `(N, 12)`; 0 where there is no such corner.
    rounding : Tensor
        Share of the exposure that a place is averaged over, `(N, 1, 1)`.
    share : Tensor
        Share of the window that a path fills, `(N, 1, 1)`.
    """

    corners: Tensor
    times: Tensor
    rounding: Tensor
    share: Tensor

    @classmethod
    def drawn(cls, count: int, generator: torch.Generator) -> RandomPaths:
        """So many independent paths of two to six corners."""
        number = torch.randint(2, _MOST_CORNERS + 1, (count, 1), generator=generator)
        corners = torch.randn(count, _MOST_CORNERS, 2, generator=generator)
        moving = 0.5 + torch.rand(count, _MOST_CORNERS, generator=generator)
        resting = -_DWELL * torch.rand(count, _MOST_CORNERS, generator=generator).clamp_min(1e-6).log()
        index = torch.arange(_MOST_CORNERS)
        times = torch.stack([resting * (index < number), moving * (index < number - 1)], 2).flatten(1)
        rounding, filled = torch.rand(2, count, 1, 1, generator=generator)
        return cls(corners, times, _ROUNDEST * rounding, torch.lerp(torch.tensor(_SMALLEST), torch.tensor(1.0), filled))

    def varied(self, indices: Tensor, step: float, generator: torch.Generator) -> RandomPaths:
        """Relatives of the paths of some indices: everything about them changes by about that share of itself."""

        def noise(like: Tensor) -> Tensor:
            return step * torch.randn(like.shape, generator=generator)

        corners, times = self.corners[indices], self.times[indices]
        rounding, share = self.rounding[indices], self.share[indices]
        return RandomPaths(
            corners + noise(corners) * corners.std((1, 2), keepdim=True),
            times * noise(times).exp(),
            (rounding + _ROUNDEST * noise(rounding)).clamp(0, 1),
            (share * (noise(share) / 2).exp()).clamp(_SMALLEST / 2, 1),
        )

    def joined(self, others: RandomPaths) -> RandomPaths:
        """These, and others after them."""
        return RandomPaths(*(torch.cat(pair) for pair in zip(self._parts, others._parts, strict=True)))

    def at(self, indices: Tensor) -> RandomPaths:
        """Those of some indices."""
        return RandomPaths(*(part[indices] for part in self._parts))

    @property
    def _parts(self) -> tuple[Tensor, ...]:
        return self.corners, self.times, self.rounding, self.share

    def places(self) -> Tensor:
        """Where the light is at equal intervals of time, `(N, 256, 2)`."""
        arrival = torch.nn.functional.pad(self.times.cumsum(1), (1, 0))
        instants = (torch.arange(_INSTANTS) + 0.5) / _INSTANTS * arrival[:, -1:]
        leg = (torch.searchsorted(arrival, instants, right=True) - 1).clamp(0, self.times.shape[1] - 1)
        part = (instants - arrival.gather(1, leg)) / self.times.gather(1, leg).clamp_min(1e-9)
        # A rest leads from a corner to itself, and what follows it to the next one.
        start, end = leg // 2, ((leg + 1) // 2).clamp_max(self.corners.shape[1] - 1)
        path = torch.lerp(_taken(self.corners, start), _taken(self.corners, end), part.clamp(0, 1)[..., None])
        reach = (self.rounding[..., 0] * _INSTANTS / 2).long()
        index = torch.arange(_INSTANTS)
        first, last = (index - reach).clamp_min(0), (index + reach + 1).clamp_max(_INSTANTS)
        total = torch.nn.functional.pad(path.cumsum(1), (0, 0, 1, 0))
        return (_taken(total, last) - _taken(total, first)) / (last - first)[..., None]

    def psfs(self, size: int) -> Tensor:
        """The light of each path in a square window of that side, its centroid on the centre, `(N, size, size)`."""
        path = self.places()
        path = path - path.mean(1, keepdim=True)
        reach = (size - 1) / 2
        place = path * (reach * self.share / path.abs().amax((1, 2), keepdim=True).clamp_min(1e-9)) + reach
        corner = place.floor().clamp(0, size - 2).long()
        part = place - corner
        light = path.new_zeros(len(path), size * size)
        for down in (0, 1):
            for right in (0, 1):
                weight = (part[..., 0] if down else 1 - part[..., 0]) * (part[..., 1] if right else 1 - part[..., 1])
                light.scatter_add_(1, (corner[..., 0] + down) * size + corner[..., 1] + right, weight)
        return light.view(-1, size, size) / _INSTANTS


def _taken(values: Tensor, index: Tensor) -> Tensor:
    """Of values `(N, n, 2)` those of indices `(N, m)`."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))
