"""The positions of a camera from the tiles of a photograph: image step and psf step in turn, as for one psf, but the
psfs of all tiles are those of one density, see `deconv.blind.camera_motion`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.boundary import extend
from ..imaging.convolution import psf_to_otf
from ..restore.derivatives import Gradient
from .camera_motion import CameraMotion, Projection, lengths_of_turn
from .evidence import Judged, posterior_precision
from .frame_tiles import FrameTiles
from .image_step import Scale
from .observation import Observation
from .psf_step import NormalEquations, edge_threshold, strong_edges
from .support import extent, odd

__all__ = ["MotionFound", "fit_density", "search_motion"]

# The scales, each sqrt(2) times the last one; image steps at each, their prior weight, and what weight and edge
# threshold are divided by after each.
_HALVINGS, _ALTERNATIONS, _WEIGHT, _RELAXING = (2, 1, 0), 4, 0.04, 1.1
# Edges for each pixel of the psf's side, each direction and each tile: from image steps, and from restored tiles.
_EDGES, _RESTORED_EDGES = 2, 27
# What is faint in psfs and density, see `CameraMotion.cleaned`.
_CUT, _FAINT, _FAINT_AT_LAST = 0.05, 0.1, (0.12,)
# An even turn is faint everywhere, and only what the tiles tell apart gets stronger.
_FAINT_OF_EVEN = (0.03, 0.05, 0.08, 0.1, 0.12)
# Steps of expectation-maximisation, at most, and how many in a row may gain nothing.
_STEPS, _STEPS_OF_EVEN, _IDLE = 6, 8, 2
# Of the fit of a density.
_ITERATIONS, _POWER_ITERATIONS, _TOLERANCE = 60, 6, 1e-4

_gradient = Gradient()


@dataclass(frozen=True)
class MotionFound:
    """A density and how well it explains the tiles.

    Attributes
    ----------
    motion : CameraMotion
        At full size.
    judged : Judged
        The tiles restored with its psfs.
    """

    motion: CameraMotion
    judged: Judged

    @property
    def ranking_score(self) -> float:
        """The lower, the better."""
        return self.judged.ranking_score


def search_motion(
    observation: Observation,
    tiles: FrameTiles,
    psf: Tensor,
    reaches: Sequence[float],
    report: Callable[[], object] = lambda: None,
) -> MotionFound:
    """The density that explains the tiles best, found from one psf.

    Two ways lead to one, and neither is better on all photographs: image step and psf step in turn from coarse to fine,
    from a camera that does not turn; and steps of expectation-maximisation at full size from one that turns evenly.

    Parameters
    ----------
    observation : Observation
        The photograph.
    tiles : FrameTiles
        Where to look at it.
    psf : Tensor
        `(kh, kw)`: what a camera that does not turn would have.
    reaches : sequence of float
        How far the camera may have turned to either side, in pixels at the corner of the frame; 0 for not at all. The
        even turn has the first one; the other way begins with the one that explains the tiles best at the coarsest
        scale.
    report : callable
        Called after each scale and step.
    """
    step = _Step.at(observation, tiles, psf, reaches[0], 0)
    even = CameraMotion.spread(_scaled(psf, step.full, step.scale.size), step.turns)
    from_even = step.polished(observation, tiles, even, _STEPS_OF_EVEN, _FAINT_OF_EVEN, report)

    first, *others = _HALVINGS
    begun = []
    for reach in reaches:
        step = _Step.at(observation, tiles, psf, reach, first)
        motion = step.alternated(CameraMotion.of_psf(_scaled(psf, step.full, step.scale.size), step.turns))
        score = Judged.of(step.scale.image, motion.psfs(tiles.places), step.scale.sigma).ranking_score
        begun.append((score, reach, motion))
    _, reach, motion = min(begun, key=lambda each: each[0])
    report()
    for halvings in others:
        step = _Step.at(observation, tiles, psf, reach, halvings)
        motion = step.alternated(motion.at_scale(step.scale.size, step.turns))
        report()
    from_coarse = step.polished(observation, tiles, motion, _STEPS, _FAINT_AT_LAST, report)
    return min(from_even, from_coarse, key=lambda each: each.ranking_score)


@dataclass(frozen=True)
class _Step:
    """The tiles at one scale, the turns that are looked for there, and the psfs that they make of a density."""

    scale: Scale
    turns: Tensor
    projection: Projection
    places: list[tuple[float, float]]
    full: list[int]

    @classmethod
    def at(cls, observation: Observation, tiles: FrameTiles, psf: Tensor, reach: float, halvings: int) -> _Step:
        """The scale so many halvings of the pixels below the finest one."""
        factor = 0.5 ** (halvings / 2)
        full = [odd(n + 2 * reach) for n in extent(psf)]
        size = (max(3, odd(full[0] * factor)), max(3, odd(full[1] * factor)))
        turns = lengths_of_turn(reach * factor)
        scale = Scale(tiles.at_scale(observation, factor), size, observation.noise_at(factor))
        return cls(scale, turns, Projection(tiles.places, turns, size), tiles.places, full)

    def alternated(self, motion: CameraMotion) -> CameraMotion:
        """Image step and psf step in turn."""
        scale, weight, threshold = self.scale, _WEIGHT, None
        for _ in range(_ALTERNATIONS):
            psfs = motion.psfs(self.places)
            gradients = scale.latent_gradients(psfs, psfs.new_full((len(psfs), 1, 1), weight))
            if threshold is None:
                threshold = _threshold(gradients, _EDGES * max(scale.size))
            edges = strong_edges(gradients, threshold)
            equations = NormalEquations.of(edges, scale.gradient_spectrum, scale.size)
            motion = self._fitted(equations, motion, faint=_FAINT)
            weight, threshold = weight / _RELAXING, threshold / _RELAXING
        return motion

    def polished(
        self,
        observation: Observation,
        tiles: FrameTiles,
        motion: CameraMotion,
        steps: int,
        faint: Sequence[float],
        report: Callable[[], object],
    ) -> MotionFound:
        """The best after up to so many steps of expectation-maximisation at full size, and before; what is faint in the
        density after each, the last value after all others."""
        images = tiles.cut(observation.image)
        found = best = MotionFound(motion, Judged.of(images, motion.psfs(self.places), observation.sigma))
        idle = 0
        for number in range(steps):
            motion = self._with_maximised_expectation(observation, found, faint[min(number, len(faint) - 1)])
            found = MotionFound(motion, Judged.of(images, motion.psfs(self.places), observation.sigma))
            report()
            idle = 0 if found.ranking_score < best.ranking_score else idle + 1
            best = min(best, found, key=lambda each: each.ranking_score)
            if idle == _IDLE:
                break
        return best

    def _with_maximised_expectation(self, observation: Observation, found: MotionFound, faint: float) -> CameraMotion:
        """One step of expectation-maximisation, as in `deconv.blind.polish`, for all tiles together."""
        scale = self.scale
        psfs = found.motion.psfs(self.places)
        gradients = _gradient.analyse(extend(observation.smooth(found.judged.latent), scale.margins))[:, :, 0]
        edges = strong_edges(gradients, _threshold(gradients, _RESTORED_EDGES * max(scale.size)))
        precision = posterior_precision(psfs, scale.shape, observation.sigma)
        smoothing = psf_to_otf(observation.smoothing, scale.shape).real.square()
        variance = gradients[0, 0].numel() * smoothing * scale.laplacian / precision
        equations = NormalEquations.of(edges, scale.gradient_spectrum, scale.size, variance=variance)
        return self._fitted(equations, found.motion, faint=faint)

    def _fitted(self, equations: NormalEquations, start: CameraMotion, *, faint: float) -> CameraMotion:
        density = fit_density(equations, self.projection, start.density)
        return CameraMotion(density, self.turns).cleaned(self.projection, cut=_CUT, faint=faint)


def _scaled(psf: Tensor, full: list[int], size: tuple[int, int]) -> Tensor:
    """The psf in a window at full size, at the scale where this has another size."""
    rows, columns = ((n - s) // 2 for n, s in zip(full, psf.shape, strict=True))
    window = F.pad(psf, (columns, columns, rows, rows))
    if tuple(full) == size:
        return window
    return F.interpolate(window[None, None], size, mode="bicubic", antialias=True)[0, 0].clamp_min(0)


def _threshold(gradients: Tensor, count: int) -> Tensor:
    """As `edge_threshold`, for so many edges a tile, wherever the strongest are: plain tiles say little."""
    as_one = gradients.reshape(2, 1, -1, gradients.shape[3])
    return edge_threshold(as_one, count * gradients.shape[1])


def fit_density(equations: NormalEquations, projection: Projection, start: Tensor) -> Tensor:
    r"""The density of least squares, not negative, not of sum 1 yet, by accelerated projected gradients:

    .. math:: \min_{w \ge 0} \sum_i \tfrac12 (P_i w)^T A_i (P_i w) - b_i^T P_i w .
    """

    def product(density: Tensor) -> Tensor:
        return projection.adjoint(equations.product(projection.psfs(density)))

    longest = torch.ones_like(start)
    for _ in range(_POWER_ITERATIONS):
        longest = product(longest / longest.norm())
    # The norm grows with every iteration towards the greatest eigenvalue, which it has reached but for a few percent.
    step = 1 / (1.1 * longest.norm())
    target = projection.adjoint(equations.target)
    density, ahead, momentum = start, start, 1.0
    for _ in range(_ITERATIONS):
        last, density = density, (ahead - step * (product(ahead) - target)).clamp_min(0)
        if float((density - last).norm()) <= _TOLERANCE * float(density.norm()):
            break
        previous, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = torch.lerp(last, density, 1 + (previous - 1) / momentum)
    return density
