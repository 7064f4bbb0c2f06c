"""From a small picture to the whole one: image step and psf step in turn at every scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.boundary import crop
from .edges import strongest, threshold
from .kernel_step import fit_psf
from .latent import Scale
from .observation import Observation
from .selection import Candidate, Hypothesis
from .support import centred, clean

__all__ = ["RIDGE", "STARTS", "Start", "alternate", "clearest", "climb", "pyramid", "resized"]

_RATIO = 0.5**0.5
_SMALLEST = 5  # pixels of the psf at the coarsest scale
_ITERATIONS = 5
_RELAXING = 1.1  # what weight and threshold are divided by at each iteration
RIDGE = 160.0
_EDGES = 5  # for each pixel of the psf's side, and each direction


@dataclass(frozen=True)
class Start:
    """Where to begin.

    weight: of the L0 prior, in units of the contrast squared. direction: from one pixel of the first psf to the
    other, `(rows, columns)`.
    """

    weight: float
    direction: tuple[int, int]

    def psf(self, size: tuple[int, int]) -> Tensor:
        """Two pixels of one half."""
        psf = torch.zeros(size)
        row, column = ((s - 1) // 2 for s in size)
        psf[row, column] = 0.5
        psf[row + self.direction[0] if size[0] > 1 else row, column + self.direction[1] if size[1] > 1 else column] += (
            0.5
        )
        return psf


# The best first, for those who want few.
STARTS = tuple(
    Start(weight, direction)
    for weights in ((0.04, 0.02), (0.08, 0.16))
    for direction in ((0, 1), (-1, 1), (1, 0), (1, 1))
    for weight in weights
)

# How many hypotheses reach the finest scale; twice as many the one before it, of half the pixels, and so on, so that
# every scale costs the same until there are no more starts.
_ARRIVING = 3
# Two psfs of less difference, summed over their pixels, are one hypothesis.
_SAME = 0.1


def pyramid(observation: Observation, size: tuple[int, int]) -> list[Scale]:
    """The observation from coarse to fine, each scale sqrt(2) times the last one."""
    count = 1
    while max(size) * _RATIO**count >= _SMALLEST - 1:
        count += 1
    scales = []
    image = observation.smooth(observation.image)
    for level in reversed(range(count)):
        factor = _RATIO**level
        window = tuple(min(s, max(3, 2 * round((s * factor - 1) / 2) + 1)) for s in size)
        shape = [max(8, round(n * factor)) for n in image.shape[2:]]
        # The triangle that antialiasing weighs by has the spread of a Gaussian of 0.4 / factor.
        small = image if level == 0 else F.interpolate(image, shape, mode="bilinear", antialias=True)
        scales.append(Scale(small, window, observation.at_scale(factor)))
    return scales


def resized(psf: Tensor, size: tuple[int, int]) -> Tensor:
    """The psf at the next scale."""
    if tuple(psf.shape) == tuple(size):
        return psf
    larger = F.interpolate(psf[None, None], size, mode="bicubic", align_corners=False)[0, 0].clamp_min(0)
    return larger / larger.sum()


def climb(scales: Sequence[Scale], starts: Sequence[Start], report: Callable[[int, Tensor], bool]) -> list[Hypothesis]:
    """The psfs at the finest scale; nothing where `report` has stopped it before.

    All starts go together. Between scales those that lead to one psf become one, and the least plausible are given up.
    report: called with a scale and the most plausible psf there; returns True to stop.
    """
    hypotheses = [Hypothesis(start.psf(scales[0].size), start.weight, ()) for start in starts]
    for level, scale in enumerate(scales):
        psfs = alternate(
            scale,
            [resized(hypothesis.psf, scale.size) for hypothesis in hypotheses],
            [hypothesis.weight for hypothesis in hypotheses],
        )
        hypotheses = [hypothesis.further(psf) for hypothesis, psf in zip(hypotheses, psfs, strict=True)]
        above = len(scales) - level - 1
        if above and len(hypotheses) > 1:
            ranking = sorted(Candidate.all_of(scale, hypotheses), key=lambda each: each.ranking_score)
            hypotheses = _different(ranking)[: _ARRIVING * 2 ** (above - 1)]
        if report(level, hypotheses[0].psf) and above:
            return []
    return hypotheses


def _different(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The first of all that are alike."""
    kept: list[Hypothesis] = []
    for hypothesis in hypotheses:
        if all(float((hypothesis.psf - other.psf).abs().sum()) > _SAME for other in kept):
            kept.append(hypothesis)
    return kept


def clearest(scale: Scale) -> float:
    """The gradient's magnitude that as many pixels reach in each of four directions as a psf is estimated from."""
    seen = crop(scale.slopes, scale.margins)[..., :-1, :-1]  # without the steps to what continues the image
    return float(threshold(seen, _EDGES * max(scale.size)))


def alternate(scale: Scale, starts: Sequence[Tensor], weights: Sequence[float]) -> list[Tensor]:
    """Image step and psf step in turn, at one scale, from each of some psfs with a weight of the L0 prior."""
    psfs, weight = torch.stack(list(starts)), torch.tensor(weights)[:, None, None]
    least = None
    for _ in range(_ITERATIONS):
        slopes = scale.sharpen(psfs, weight)
        if least is None:
            least = threshold(slopes, _EDGES * max(scale.size))
        kept = strongest(slopes, least)
        fitted = fit_psf(kept, scale.slopes_spectrum, scale.size, ridge=RIDGE, start=psfs)
        psfs = torch.stack([clean(psf) for psf in fitted])
        weight, least = weight / _RELAXING, least / _RELAXING
    return [centred(psf) for psf in psfs]
