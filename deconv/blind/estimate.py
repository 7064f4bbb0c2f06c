"""From a blurred photograph to its psf."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from ..prior import Prior
from .coarse_to_fine import STARTS, alternate, clearest, climb, pyramid
from .latent import Scale
from .likelihood import as_prior, likeliest
from .observation import Observation, window
from .paired import descend
from .progress import Reporter
from .refine import finish, thin
from .selection import Candidate, Hypothesis, plausible, restored
from .support import average, delta, spread

__all__ = ["KernelEstimate", "estimate"]

_METHODS = ("coarse_to_fine",)
_LEAST_SIDE = 32
_THINNINGS = (0.03, 0.05, 0.05, 0.05)  # cuts, one after the other
_DESCENT = 10  # steps through the recursive filter
_AVERAGED = (3, 6, 12)  # of so many of the likeliest, whose errors differ, the mean is tried
_FLATTER = 3.0  # the weight of the second polishing

# Sharp photographs come out with psfs of less spread than the second, in pixels, 0.6 to 1.4 of two dozen, and blurred
# ones with more: in between, the psf must be likelier than no blur. Below the first it would sharpen nothing.
_SHARP, _NARROW = 0.75, 1.5
# The variance that a psf may leave unexplained, over that of the noise: 0.1 to 1.3 for those that were right, 2.2 to 5
# for sharp pictures of fine texture.
_UNEXPLAINED = 1.6
# By how much the scene must be less disordered than the image: 0.07 to 0.66 in blurred photographs, nothing where a
# wide psf was found for a sharp one.
_ORDER = 0.05
# How often the strongest edges must exceed the noise of gradients, in each of four directions: 4.8 and more in
# photographs, 1 to 3 in noise, slopes, and where there is but one edge.
_SEEN = 4.0


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


def estimate(
    image: Any,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    method: str = "coarse_to_fine",
    starts: int = 16,
    refine: str | None = None,
    prior: str | os.PathLike | Prior | None = None,
    sigma: float | None = None,
    callback: Callable[[int, Tensor], bool | None] | None = None,
    progress: bool | None = None,
) -> KernelEstimate:
    r"""Estimate the psf that has blurred a photograph, from the photograph alone.

    At every scale of a pyramid two steps alternate: the scene of fewest edges that explains the observation with
    the last psf, and the psf that fits the strongest of those edges to the observation. That is done from several
    starts; the best are refined on a restored photograph, and the one with the greatest evidence is taken
    (`deconv.blind.selection`) and finished (`deconv.blind.refine`), unless it leaves too much unexplained or is no
    better than no blur.

    Parameters
    ----------
    image: one grey or colour photograph, at least 32 x 32; see `deconv.imaging.arrays`. The blur is taken to be the
        same all over it.
    kernel_size: the psf's window, a number or `(kh, kw)`, made odd; somewhat more than the blur's extent, and at most
        half of the image. None: an eighth of the image's shorter side, from 15 to 51.
    starts: how many, 1 to 16; all are followed at coarse scales, the three most plausible to the end. With 1, fewer
        ways to refine its psf are tried, too.
    refine: ``"gradient"``: also descend, from the best psf, through the recursive Wiener filter towards the restored
        photograph (see `fit`), and keep what that brings if the evidence is greater.
    prior: also descend to where the photograph is likeliest under this density of photographs (see
        `deconv.blind.likelihood`), and keep what that brings if the evidence is greater: ``"flow"``, another name or a
        file of `deconv.prior.load_prior`, or an object with ``log_prob(image, sigma)``. It takes seconds for every
        hundred thousand pixels, and on blur by camera shake it has gained nothing so far: there the log-determinant
        outweighs what the prior tells apart.
    sigma: standard deviation of the noise, in the image's unit; None: estimated.
    callback: called as ``callback(scale, psf)`` after each scale, with the most plausible psf; stops by returning
        True, and no psf is found but after the last one.
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
    if refine not in (None, "gradient"):
        raise ValueError(f'refine: expected None or "gradient", given {refine!r}')
    density = None if prior is None else as_prior(prior)
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
        return _no_blur(image, size, "the image is of one colour: no blur to see")

    piece = observation.richest(size)
    scales = pyramid(piece, size)
    if clearest(scales[-1]) < _SEEN * piece.slope_noise():
        return _no_blur(image, size, "too few edges stand out from the noise to tell a blur by")
    with Reporter(callback, progress, len(scales)) as report:
        roots = climb(scales, STARTS[:starts], report)
    if not roots:
        return _no_blur(image, size, "stopped before a psf was found")
    candidates = [each for root in roots for each in _refined(piece, scales[-1], root, hasty=starts == 1)]
    ranking = sorted(plausible(candidates), key=lambda c: c.score)
    for count in _AVERAGED:
        if len(ranking) >= count:
            mean = average([each.psf for each in ranking[:count]])
            candidates.append(Candidate.of(piece, ranking[0].further(mean)))
    best = min(plausible(candidates), key=lambda c: c.score)
    doubt = _doubt(best, piece)
    if doubt is not None:
        return _no_blur(image, size, doubt)
    best = finish(piece, scales[-1], best)
    descended = []
    if refine == "gradient":
        ratio = piece.sigma**2
        descended.append(descend(piece.image, best.scene, best.psf, noise_to_signal=ratio, num_iter=_DESCENT))
    if density is not None:
        descended.append(likeliest(piece, best.psf, density))
    further = (Candidate.of(piece, best.further(psf)) for psf in descended)
    found = min((best, *further), key=lambda c: c.score)
    scene = restored(observation.image, found.psf[None, None], observation.sigma)
    return KernelEstimate(found.psf, back(observation.brought_back(scene, batch)), found.score, found.trace)


def _no_blur(image: Any, size: tuple[int, int], why: str) -> KernelEstimate:
    psf = delta(torch.zeros(size))
    return KernelEstimate(psf, image, float("nan"), (psf,), (why,))


def _refined(piece: Observation, scale: Scale, found: Hypothesis, *, hasty: bool) -> Iterator[Candidate]:
    """What was found polished, and unless in haste as it is, and each thinned step by step."""
    polished = alternate(scale, [found.psf] * 2, [found.weight, _FLATTER * found.weight])
    for hypothesis in (*([] if hasty else [found]), *map(found.further, polished)):
        last = Candidate.of(piece, hypothesis)
        yield last
        for cut in _THINNINGS:
            last = Candidate.of(piece, last.further(thin(piece, scale, last, cut=cut)))
            yield last


def _doubt(found: Candidate, piece: Observation) -> str | None:
    """Why a psf is not to be trusted."""
    if found.misfit > _UNEXPLAINED:
        return f"no psf explains the image: what is left is {found.misfit**0.5:.1f} times the noise"
    width = spread(found.psf)
    if width < _SHARP:
        return f"the image is sharp already: its blur spreads over {width:.2f} pixels only"
    none = Candidate.of(piece, Hypothesis(delta(found.psf), 0.0, ()))
    unlikely = found.ranking_score > none.ranking_score or (width < _NARROW and found.score > none.score)
    if unlikely or found.disorder > none.disorder - _ORDER:
        return "no blur explains the image as well as any psf found: it is sharp, or there is too little to see"
    return None
