"""From coarse to fine: image step and psf step in turn at every scale, from several starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.boundary import crop
from .evidence import Candidate, Hypothesis
from .image_step import Scale
from .observation import Observation
from .psf_step import edge_threshold, fit_psf, strong_edges
from .starts import path_shapes
from .support import centred, clean

__all__ = ["alternate", "climb", "edges_over_noise", "pyramid", "resized"]

_RATIO = 0.5**0.5
_SMALLEST = 5  # pixels of the psf at the coarsest scale
_ITERATIONS = 5
_RELAXING = 1.1  # what prior weight and edge threshold are divided by at each iteration
_EDGES = 5  # for each pixel of the psf's side, and each direction

# How many hypotheses reach the finest scale; twice as many the one before it, of half the pixels, and so on, so that
# every scale costs the same until there are no more starts.
_ARRIVING = 3
# Two psfs of less difference, summed over their pixels, are one hypothesis.
_SAME = 0.3
# Where the window has so many pixels, paths join the hypotheses: what the coarser scales have made of a psf too small
# to have a shape may be the wrong one, which no finer scale leaves again. Their prior weight.
_SHAPED = (7, 13)
_SHAPED_WEIGHT = 0.04


def pyramid(observation: Observation, size: tuple[int, int]) -> list[Scale]:
    """The observation from coarse to fine, each scale sqrt(2) times the last one; `size`: of the psf, full scale."""
    image = observation.smooth(observation.image)
    return [_scaled(observation, image, size, steps) for steps in reversed(range(_count(size)))]


def _count(size: tuple[int, int]) -> int:
    """How many scales there are, for a psf of that size at full scale."""
    count = 1
    while max(size) * _RATIO**count >= _SMALLEST - 1:
        count += 1
    return count


def _scaled(observation: Observation, smooth: Tensor, size: tuple[int, int], steps: int) -> Scale:
    """The smoothed image of an observation, so many steps below full scale."""
    factor = _RATIO**steps
    height, width = (min(s, max(3, 2 * round((s * factor - 1) / 2) + 1)) for s in size)
    shape = [max(8, round(n * factor)) for n in smooth.shape[2:]]
    # The triangle that antialiasing weighs by has the spread of a Gaussian of 0.4 / factor.
    small = smooth if steps == 0 else F.interpolate(smooth, shape, mode="bilinear", antialias=True)
    return Scale(small, (height, width), observation.noise_at(factor))


def resized(psf: Tensor, size: tuple[int, int]) -> Tensor:
    """The psf at the next scale."""
    if tuple(psf.shape) == tuple(size):
        return psf
    larger = F.interpolate(psf[None, None], size, mode="bicubic", align_corners=False)[0, 0].clamp_min(0)
    return larger / larger.sum()


def climb(
    scales: Sequence[Scale],
    hypotheses: Sequence[Hypothesis],
    report: Callable[[int, Tensor], bool],
    *,
    first: int = 0,
    above: int = 0,
    paths: int = 0,
) -> list[Hypothesis]:
    """The hypotheses after one scale after another; none where `report` has stopped the way to the finest one.

    All go together; at some coarse scales psfs of random paths join them. Between scales those that lead to one psf
    become one, and those of the worst ranking score are given up.

    Parameters
    ----------
    scales : sequence of Scale
        From coarse to fine.
    hypotheses : sequence of Hypothesis
        With psfs of the scale before the first one, of any size.
    report : callable
        Called with a scale's number and the psf of the best ranking score there; returns True to stop.
    first, above : int
        The number of the first scale, and how many there are after the last.
    paths : int
        How many random paths join at a scale.
    """
    hypotheses = list(hypotheses)
    for number, scale in enumerate(scales, first):
        remaining = first + len(scales) - number - 1 + above
        hypotheses = [Hypothesis(resized(each.psf, scale.size), each.weight, each.trace) for each in hypotheses]
        if number and remaining and _SHAPED[0] <= max(scale.size) <= _SHAPED[1]:
            shapes = path_shapes(scale.size, paths, seed=2 * number * paths)
            hypotheses += [Hypothesis(psf.to(scale.image), _SHAPED_WEIGHT, ()) for psf in shapes]
        psfs = alternate(scale, [each.psf for each in hypotheses], [each.weight for each in hypotheses])
        hypotheses = [hypothesis.updated(psf) for hypothesis, psf in zip(hypotheses, psfs, strict=True)]
        if remaining and len(hypotheses) > 1:
            ranking = sorted(Candidate.all_of(scale, hypotheses), key=lambda each: each.ranking_score)
            hypotheses = _distinct(ranking)[: _ARRIVING * 2 ** (remaining - 1)]
        if report(number, hypotheses[0].psf) and remaining:
            return []
    return hypotheses


def _distinct(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The first of all that are alike."""
    kept: list[Hypothesis] = []
    for hypothesis in hypotheses:
        if all(float((hypothesis.psf - other.psf).abs().sum()) > _SAME for other in kept):
            kept.append(hypothesis)
    return kept


def alternate(scale: Scale, starts: Sequence[Tensor], weights: Sequence[float]) -> list[Tensor]:
    """Image step and psf step in turn at one scale, from psfs `(kh, kw)`, each with its prior weight."""
    psfs = torch.stack(list(starts))
    weight = psfs.new_tensor(weights)[:, None, None]
    threshold = None
    for _ in range(_ITERATIONS):
        gradients = scale.latent_gradients(psfs, weight)
        if threshold is None:
            threshold = edge_threshold(gradients, _EDGES * max(scale.size))
        edges = strong_edges(gradients, threshold)
        fitted = fit_psf(edges, scale.gradient_spectrum, scale.size, start=psfs)
        psfs = torch.stack([clean(psf) for psf in fitted])
        weight, threshold = weight / _RELAXING, threshold / _RELAXING
    return [centred(psf) for psf in psfs]


def edges_over_noise(observation: Observation, size: tuple[int, int], steps: int = 0) -> float:
    """How many times stronger the edges are that a psf is estimated from than they would be in noise alone.

    steps: how many below full scale, or as many as there are.
    """
    steps = min(steps, _count(size) - 1)
    noise = torch.randn(observation.image.shape, generator=torch.Generator().manual_seed(0)).to(observation.image)
    there, alone = (
        _edge_strength(_scaled(observation, observation.smooth(image), size, steps))
        for image in (observation.image, observation.sigma * noise)
    )
    return there / alone


def _edge_strength(scale: Scale) -> float:
    """The gradient's magnitude that as many pixels reach in each of four directions as a psf is estimated from."""
    observed = crop(scale.gradients, scale.margins)[..., :-1, :-1]  # without the differences across the frame's border
    return float(edge_threshold(observed, _EDGES * max(scale.size)))
