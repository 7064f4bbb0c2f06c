"""Points of light whose windows overlap, told apart: each without the light of all others.

The picture is a level and a sum of psfs, each moved to its place and as bright as its point. By turns, the brightest
first, place and brightness of each are fitted to what the others leave of the picture, and the psf is made of what is
then in the windows.

References
----------
Stetson, "DAOPHOT: a computer program for crowded-field stellar photometry", PASP 99, 1987.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .shift import shifted

__all__ = ["Crowd"]

# Where the psf is more than this part of its peak, a point is found by it.
_CORE = 0.1
# Steps of Gauss and Newton for each point in a turn.
_STEPS = 2


class Crowd:
    """The points of light in a picture, and how bright each is where.

    Parameters
    ----------
    picture : Tensor
        `(H, W)` or `(D, H, W)`, float64, without its background.
    known : Tensor
        bool, of the same shape: False where the picture is saturated.
    places : sequence of tuple of int
        Pixels on which the points are, about.
    window : tuple of int
        Size of the psf, odd.
    """

    def __init__(
        self, picture: Tensor, known: Tensor, places: Sequence[tuple[int, ...]], window: tuple[int, ...]
    ) -> None:
        sides = [side for n in reversed(window) for side in (n // 2, n // 2)]
        self.known = F.pad(known, sides)  # nothing is known outside the frame
        self.rest = F.pad(torch.where(known, picture, 0), sides)
        self.windows = [tuple(slice(p, p + n) for p, n in zip(place, window, strict=True)) for place in places]
        heights = [float(picture[place]) for place in places]
        self.order = sorted(range(len(places)), key=lambda i: -heights[i])
        self.offsets = [[0.0] * len(window) for _ in places]
        self.gains = [0.0] * len(places)
        self.models = [torch.zeros(window, dtype=torch.float64) for _ in places]

    def turn(self, psf: Tensor) -> None:
        """Fit the place and the brightness of each, given the psf, of sum 1."""
        core = psf >= _CORE * psf.max()
        for i in self.order:
            window = self.alone(i)
            seen = self.known[self.windows[i]] & core
            for _ in range(_STEPS):
                self._step(i, window, psf, seen)
            model = self.gains[i] * shifted(psf, self.offsets[i])
            self._subtract(i, model - self.models[i])
            self.models[i] = model
        self._level()

    def alone(self, i: int) -> Tensor:
        """The window of a point without the light of all others; where nothing is known, what the psf says."""
        return self.rest[self.windows[i]] + self.models[i]

    def mean(self, kept: Sequence[int]) -> Tensor:
        """The mean of the windows of some points, as their light counts, moved onto each other."""
        moved = sum((shifted(self.alone(i), [-d for d in self.offsets[i]]) for i in kept), torch.zeros(()))
        return moved / moved.sum()

    def others(self, i: int) -> float:
        """What the others add in the middle of a point, in parts of its own height."""
        others = sum((self._reaches(j, i) for j in range(len(self.gains)) if j != i), 0.0)
        return others / max(float(self.models[i].max()), 1e-300)

    def _reaches(self, j: int, i: int) -> float:
        """The light of a point on the middle of another."""
        spans = zip(self.windows[j], self.windows[i], self.models[j].shape, strict=True)
        index = tuple(n // 2 + there.start - here.start for here, there, n in spans)
        inside = all(0 <= k < n for k, n in zip(index, self.models[j].shape, strict=True))
        return float(self.models[j][index]) if inside else 0.0

    def _step(self, i: int, window: Tensor, psf: Tensor, seen: Tensor) -> None:
        here = shifted(psf, self.offsets[i])
        axes = [axis for axis, n in enumerate(psf.shape) if n > 2]
        slopes = [(here.roll(-1, axis) - here.roll(1, axis)) / 2 for axis in axes]
        columns = torch.stack([here[seen], *(-slope[seen] for slope in slopes)], 1)
        if columns.shape[0] < columns.shape[1]:
            return
        solution = torch.linalg.lstsq(columns, window[seen][:, None]).solution[:, 0]
        gain = float(solution[0])
        if not gain > 0:
            self.gains[i] = 0.0
            return
        self.gains[i] = gain
        for axis, step in zip(axes, (solution[1:] / gain).clamp(-0.5, 0.5).tolist(), strict=True):
            self.offsets[i][axis] = max(-2.0, min(2.0, self.offsets[i][axis] + step))

    def _level(self) -> None:
        """Take off the background that is left: the picture where there would be no model, by least squares."""
        model = torch.zeros_like(self.rest)
        for index, one in zip(self.windows, self.models, strict=True):
            model[index] += one
        rest, model = self.rest[self.known], model[self.known]
        spread = (model - model.mean()).square().sum().clamp_min(1e-300)
        slope = ((model - model.mean()) * rest).sum() / spread
        self.rest = torch.where(self.known, self.rest - (rest.mean() - slope * model.mean()), 0)

    def _subtract(self, i: int, model: Tensor) -> None:
        part = self.rest[self.windows[i]]
        part -= torch.where(self.known[self.windows[i]], model, 0)
