r"""Which of several psfs is the right one: the one for which observation and restored scene are likeliest together.

Per pixel, for an image of unit contrast with noise of standard deviation :math:`\sigma`,

.. math:: \frac{|h * x - y|^2}{2 \sigma^2} + a \log(|\nabla x|^2 + \epsilon)
    + \tfrac12 \log\Big( \frac{|H|^2}{\sigma^2} + \frac{|D|^2}{s^2} \Big)

the misfit, the price of the edges, and, as Laplace's approximation of the evidence has it, the volume of the scenes
that would do as well, a mean over frequencies. The last term makes psfs of different widths comparable: a wide one
explains anything with ease because few of the scene's frequencies are asked, and no blur at all explains everything.
The price of the edges is that of a heavy-tailed prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..imaging.convolution import convolve, psf_to_otf
from ..restore import hyper_laplacian
from ..restore.derivatives import Gradient

__all__ = ["Candidate", "Hypothesis", "plausible", "restored", "scene_precision"]

_EDGE_PRICE, _EDGE_FLOOR, _SLOPE = 0.3, 3e-5, 0.06
# What a nat of disorder counts for in the ranking_score of a psf.
_DISORDER = 2.0
# How far a psf may be behind the most plausible one: those that are nearly right are within 0.02 of each other.
_LAG = 0.1

_gradient = Gradient()


class Seen(Protocol):
    """An image `(1, 1, H, W)` of unit contrast, and the standard deviation of its noise."""

    image: Tensor
    sigma: float


def restored(image: Tensor, psfs: Tensor, sigma: float) -> Tensor:
    """The scenes `(N, 1, H, W)` that go with psfs `(N, 1, kh, kw)`."""
    copies = image.expand(len(psfs), -1, -1, -1)
    return hyper_laplacian(copies, psfs, sigma=sigma, num_iter=12, progress=False)


@dataclass(frozen=True)
class Hypothesis:
    """A psf on its way up. weight: of the L0 prior that it was found with; trace: the psfs so far, it the last one."""

    psf: Tensor
    weight: float
    trace: tuple[Tensor, ...]

    def further(self, psf: Tensor) -> Hypothesis:
        return Hypothesis(psf, self.weight, (*self.trace, psf))


@dataclass(frozen=True)
class Candidate(Hypothesis):
    r"""A psf to choose from.

    scene: what is restored with it.
    score: minus the logarithm of the evidence, per pixel, up to a constant; the lowest is the best.
    misfit: mean squared difference of blurred scene and image, over the variance of the noise.
    disorder: :math:`\log (|\nabla x|_1 / |\nabla x|_2)`, norms of means: the lower, the fewer edges the scene is made
        of, however strong they are.
    """

    scene: Tensor
    score: float
    misfit: float
    disorder: float

    @property
    def ranking_score(self) -> float:
        """What to judge unfinished psfs by, the lowest first. The evidence compares psfs that are nearly right; among
        those far off it likes the narrow ones, since blurred edges are cheap. Sums of independent values are nearer
        to a normal distribution, so that of two scenes the more orderly one is the less blurred (Donoho, "On minimum
        entropy deconvolution", 1981)."""
        return self.score + _DISORDER * self.disorder

    @classmethod
    def of(cls, seen: Seen, hypothesis: Hypothesis) -> Candidate:
        return cls.all_of(seen, [hypothesis])[0]

    @classmethod
    def all_of(cls, seen: Seen, hypotheses: Sequence[Hypothesis]) -> list[Candidate]:
        """Those of one image and one window, together."""
        image, sigma = seen.image, seen.sigma
        psfs = torch.stack([hypothesis.psf for hypothesis in hypotheses])[:, None]
        scenes = restored(image, psfs, sigma)
        again = convolve(scenes, psfs)
        inside = image[..., psfs.shape[2] // 2 :, psfs.shape[3] // 2 :][..., : again.shape[-2], : again.shape[-1]]
        misfit = _means((again - inside).square()) / sigma**2
        slopes = (scenes[..., :-1, 1:] - scenes[..., :-1, :-1]).square() + (
            scenes[..., 1:, :-1] - scenes[..., :-1, :-1]
        ).square()
        edges = _EDGE_PRICE * _means((slopes + _EDGE_FLOOR).log())
        volume = 0.5 * _means(scene_precision(psfs, image.shape[2:], sigma).log())
        disorder = _means(slopes.sqrt()).log() - _means(slopes).log() / 2
        score = misfit / 2 + edges + volume
        figures = zip(hypotheses, scenes.split(1), score.tolist(), misfit.tolist(), disorder.tolist(), strict=True)
        return [cls(hypothesis.psf, hypothesis.weight, hypothesis.trace, *figure) for hypothesis, *figure in figures]


def scene_precision(psf: Tensor, shape: Sequence[int], sigma: float) -> Tensor:
    r"""What is known of each frequency of the scene, :math:`|H|^2 / \sigma^2 + |D|^2 / s^2`: the inverse of its
    variance, for an image on a torus of that shape."""
    otf = psf_to_otf(psf, shape)
    return (otf.real.square() + otf.imag.square()) / sigma**2 + _gradient.power(shape, psf) / _SLOPE**2


def _means(values: Tensor) -> Tensor:
    return values.mean((1, 2, 3))


def plausible(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that the evidence may choose from: a narrow psf that explains little of a wide blur can be cheap."""
    most = min(each.ranking_score for each in candidates)
    return [each for each in candidates if each.ranking_score <= most + _LAG]
