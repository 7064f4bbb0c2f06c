"""From a blurred photograph to its psf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from .coarse_to_fine import STARTS, Start, alternate, climb, pyramid
from .latent import Scale
from .observation import Observation, window
from .progress import Reporter
from .refine import thin
from .selection import restored, score
from .support import delta, spread

__all__ = ["KernelEstimate", "estimate"]

_METHODS = ("coarse_to_fine",)
_LEAST_SIDE = 32
_POLISHED = 2  # candidates that are refined
_THINNINGS = (0.03, 0.05, 0.08, 0.05)  # cuts, one after the other
_FLATTER = 3.0  # the weight of the second polishing

# A psf of less spread, in pixels, sharpens nothing.
_SHARP = 0.75


@dataclass(frozen=True)
class KernelEstimate:
    """What was found.

    psf: `(kh, kw)`, float32, odd sizes, sum 1, nothing negative, the centre of mass at the centre to half a pixel.
    image: the photograph restored with it, quickly and grey: array, layout and dtype of what was given.
    score: minus the log evidence per pixel, see `deconv.blind.selection`; the lower the better, for one image.
    trace: the chosen psf at every scale, coarse to fine, the refined ones at the end.
    warnings: why the psf is that of no blur, or not to be trusted; empty where all is well.
    """

    psf: Tensor
    image: Any
    score: float
    trace: tuple[Tensor, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    psf: Tensor
    scene: Tensor
    score: float
    start: Start | None = None
    trace: tuple[Tensor, ...] = field(default=())


def estimate(
    image: Any,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    method: str = "coarse_to_fine",
    starts: int = 8,
    sigma: float | None = None,
    callback: Callable[[int, Tensor], bool | None] | None = None,
    progress: bool | None = None,
) -> KernelEstimate:
    r"""Estimate the psf that has blurred a photograph, from the photograph alone.

    At every scale of a pyramid two steps alternate: the scene of fewest edges that explains the observation with
    the last psf, and the psf that fits the strongest of those edges to the observation. That is done from several
    starts; the best are refined on a restored photograph, and the one with the greatest evidence is taken, no blur
    among them (`deconv.blind.selection`).

    Parameters
    ----------
    image: one grey or colour photograph, at least 32 x 32; see `deconv.imaging.arrays`. The blur is taken to be the
        same all over it.
    kernel_size: the psf's window, a number or `(kh, kw)`, made odd; somewhat more than the blur's extent, and at most
        half of the image. None: an eighth of the image's shorter side.
    starts: how many, 1 to 8; each takes its time, a few more find the psf more surely.
    sigma: standard deviation of the noise, in the image's unit; None: estimated.
    callback: called as ``callback(scale, psf)`` after each scale of each start; stops by returning True, and what was
        found by then is refined.
    progress: show a bar; None: on a terminal.

    Returns
    -------
    `KernelEstimate`. Where nothing is to be trusted, its psf is that of no blur, and `warnings` says why. The same
    image gives the same psf every time.

    Raises
    ------
    TypeError, ValueError: naming the argument, what was given and what is allowed.

    References
    ----------
    Cho and Lee, "Fast motion deblurring", SIGGRAPH Asia 2009. Xu, Zheng and Jia, "Unnatural L0 sparse representation
    for natural image deblurring", CVPR 2013. Selection: Levin, Weiss, Durand and Freeman, "Efficient marginal
    likelihood optimization in blind deconvolution", CVPR 2011.
    """
    if method not in _METHODS:
        raise ValueError(f"method: unknown {method!r}, allowed are {', '.join(_METHODS)}")
    if not isinstance(starts, int) or not 1 <= starts <= len(STARTS):
        raise ValueError(f"starts: expected a whole number from 1 to {len(STARTS)}, given {starts!r}")
    batch, back = as_image_batch(image)
    if len(batch) != 1:
        raise ValueError(f"image: expected one image, given {len(batch)}")
    shape = tuple(batch.shape[2:])
    if min(shape) < _LEAST_SIDE:
        raise ValueError(
            f"image: expected at least {_LEAST_SIDE} x {_LEAST_SIDE} pixels, given {shape[0]} x {shape[1]}"
        )
    size = window(kernel_size, shape)
    observation = Observation.of(batch, sigma)
    if observation.flat:
        nothing = delta(torch.zeros(size))
        return KernelEstimate(nothing, image, float("nan"), (nothing,), ("the image is of one colour: no blur to see",))

    scales = pyramid(observation.image, size)
    candidates = list(
        _climbed(observation, scales, STARTS[:starts], Reporter(callback, progress, starts * len(scales)))
    )
    best = sorted(candidates, key=lambda c: c.score)[:_POLISHED]
    for candidate in best:
        candidates += _refined(observation, scales[-1], candidate)
    none = _candidate(observation, delta(torch.zeros(size)), None, (delta(torch.zeros(size)),))
    return _judged(candidates, none, batch, back)


def _climbed(
    observation: Observation, scales: Sequence[Scale], starts: Sequence[Start], report: Reporter
) -> Iterator[_Candidate]:
    with report:
        for start in starts:
            trace = []
            for level, psf in enumerate(climb(scales, start)):
                trace.append(psf)
                if report(level, psf):
                    break
            if len(trace) == len(scales):
                yield _candidate(observation, trace[-1], start, tuple(trace))
            if report.stopped:
                return


def _refined(observation: Observation, scale: Scale, candidate: _Candidate) -> Iterator[_Candidate]:
    """The candidate polished and thinned, step by step."""
    start = candidate.start
    flatter = alternate(scale, candidate.psf, _FLATTER * start.weight)
    again = alternate(scale, candidate.psf, start.weight)
    roots = [candidate, *(_candidate(observation, psf, start, candidate.trace) for psf in (again, flatter))]
    for root in roots:
        yield root
        last = root
        for cut in _THINNINGS:
            psf = thin(scale, last.scene, last.psf, cut=cut)
            last = _candidate(observation, psf, start, (*last.trace, psf))
            yield last


def _candidate(observation: Observation, psf: Tensor, start: Start | None, trace: tuple[Tensor, ...]) -> _Candidate:
    scene = restored(observation.image, psf, observation.sigma)
    return _Candidate(psf, scene, score(observation.image, scene, psf, observation.sigma), start, trace)


def _judged(
    candidates: Sequence[_Candidate], none: _Candidate, batch: Tensor, back: Callable[[Tensor], Any]
) -> KernelEstimate:
    """The likeliest candidate, or no blur where that is likelier or nothing else is to be trusted."""
    found = min(candidates, key=lambda c: c.score, default=none)
    warnings: tuple[str, ...] = ()
    if not candidates:
        warnings = ("stopped before a psf was found",)
    elif not found.score < none.score:
        warnings = (
            "no blur explains the image better than any psf that was found: it is sharp, or too little to go by",
        )
    elif spread(found.psf) < _SHARP:
        warnings = (f"the image is sharp already: its blur, {spread(found.psf):.2f} pixels, is less than a pixel",)
    if warnings:
        found = none
    grey = batch.mean(1, keepdim=True)
    scene = found.scene.to(batch) * grey.std(correction=0) + grey.mean()
    return KernelEstimate(found.psf, back(scene.expand_as(batch)), found.score, found.trace, warnings)
