r"""Which of several psfs is the right one: the evidence, by Laplace's approximation.

Per pixel, for an image of unit contrast with noise of standard deviation :math:`\sigma`, and the latent image x that
is restored with the psf h,

.. math:: -\log p(y \mid h) \approx \frac{|h * x - y|^2}{2 \sigma^2} + a \log(|\nabla x|^2 + \epsilon)
    + \tfrac12 \log\Big( \frac{|H|^2}{\sigma^2} + \frac{|D|^2}{s^2} \Big) ,

the misfit, a heavy-tailed prior of gradients, and the logarithm of the posterior's precision, a mean over frequencies.
The last term makes psfs of different widths comparable: a wide one explains any image with little misfit, since it asks
for few of the latent image's frequencies, and no blur at all explains everything. Candidates are ranked by the evidence
and by how sparse the edges of their latent images are, see `Candidate.ranking_score`.

References: Levin, Weiss, Durand and Freeman, "Efficient marginal likelihood optimization in blind deconvolution", CVPR
2011.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..imaging.convolution import convolve, psf_to_otf
from ..restore import RestorationWarning, hyper_laplacian
from ..restore.derivatives import Gradient

__all__ = ["Candidate", "Hypothesis", "Judged", "NormalisedImage", "posterior_precision", "restored"]

_EDGE_WEIGHT, _EDGE_FLOOR, _GRADIENT_SCALE = 0.3, 3e-5, 0.06
# The weight of the sparsity in the ranking score.
_SPARSITY_WEIGHT = 2.0

# Pixels of all latent images that are restored together: fewer leave cores idle, more do not fit into caches.
_PIXELS_AT_A_TIME = 2**20

_gradient = Gradient()


class NormalisedImage(Protocol):
    """An image `(1, 1, H, W)` of unit contrast, and the standard deviation of its noise."""

    @property
    def image(self) -> Tensor: ...
    @property
    def sigma(self) -> float: ...


def restored(image: Tensor, psfs: Tensor, sigma: float) -> Tensor:
    """The latent images `(N, 1, H, W)` that go with psfs `(N, 1, kh, kw)`."""
    copies = image.expand(len(psfs), -1, -1, -1)
    with warnings.catch_warnings():
        # Of lamps in the night, which a wrong psf does not explain: nobody has asked for this restoration.
        warnings.simplefilter("ignore", RestorationWarning)
        return hyper_laplacian(copies, psfs, sigma=sigma, num_iter=12, progress=False)


@dataclass(frozen=True)
class Hypothesis:
    """A psf on its way from coarse to fine.

    Attributes
    ----------
    psf : Tensor
        `(kh, kw)`.
    weight : float
        Prior weight of the L0 image step that it is found with.
    trace : tuple of Tensor
        The psfs so far, the present one the last.
    """

    psf: Tensor
    weight: float
    trace: tuple[Tensor, ...]

    def updated(self, psf: Tensor) -> Hypothesis:
        """With the next psf."""
        return Hypothesis(psf, self.weight, (*self.trace, psf))


@dataclass(frozen=True)
class Candidate(Hypothesis):
    r"""A hypothesis with the figures to judge it by.

    Attributes
    ----------
    latent : Tensor
        The image restored with its psf, `(1, 1, H, W)`.
    score : float
        Minus the log evidence per pixel, up to a constant; the lowest is the best.
    misfit : float
        Mean squared difference of the blurred latent image and the observation, over the variance of the noise.
    sparsity : float
        :math:`\log (|\nabla x|_1 / |\nabla x|_2)`, norms of means: the lower, the fewer edges the latent image is made
        of, however strong they are (Krishnan, Tay and Fergus, "Blind deconvolution using a normalized sparsity
        measure", CVPR 2011).
    """

    latent: Tensor
    score: float
    misfit: float
    sparsity: float

    @property
    def ranking_score(self) -> float:
        """What to rank psfs by, the lowest first.

        The evidence alone prefers narrow psfs among those far off, and under strong noise among all, since blurred
        edges cost the prior little. Sums of independent values are nearer to a normal distribution, so that of two
        latent images the sparser one is the less blurred (Donoho, "On minimum entropy deconvolution", 1981).
        """
        return self.score + _SPARSITY_WEIGHT * self.sparsity

    @classmethod
    def of(cls, observed: NormalisedImage, hypothesis: Hypothesis) -> Candidate:
        """One hypothesis judged."""
        return cls.all_of(observed, [hypothesis])[0]

    @classmethod
    def all_of(cls, observed: NormalisedImage, hypotheses: Sequence[Hypothesis]) -> list[Candidate]:
        """Hypotheses of one window judged together, as many at a time as is quick."""
        image, sigma = observed.image, observed.sigma
        most = max(1, _PIXELS_AT_A_TIME // image.numel())
        if len(hypotheses) > most:
            parts = (hypotheses[start : start + most] for start in range(0, len(hypotheses), most))
            return [each for part in parts for each in cls.all_of(observed, part)]
        if not hypotheses:
            return []
        judged = Judged.of(image, torch.stack([hypothesis.psf for hypothesis in hypotheses]), sigma)
        columns = (judged.latent.split(1), *(each.tolist() for each in (judged.score, judged.misfit, judged.sparsity)))
        figures = zip(hypotheses, *columns, strict=True)
        return [Candidate(each.psf, each.weight, each.trace, x, s, m, r) for each, x, s, m, r in figures]


@dataclass(frozen=True)
class Judged:
    """Images `(N, 1, H, W)` restored with psfs, one for each, and the figures of `Candidate`, each `(N,)`.

    Attributes
    ----------
    latent : Tensor
        `(N, 1, H, W)`.
    score, misfit : Tensor
        As of `Candidate`.
    lengths, squares : Tensor
        The means of the gradient's length and of its square.
    """

    latent: Tensor
    score: Tensor
    misfit: Tensor
    lengths: Tensor
    squares: Tensor

    @classmethod
    def of(cls, image: Tensor, psfs: Tensor, sigma: float) -> Judged:
        """Psfs `(N, kh, kw)`; images as many or one for all, of unit contrast."""
        psfs = psfs[:, None]
        latent = restored(image, psfs, sigma)
        blurred = convolve(latent, psfs)
        inside = image[..., psfs.shape[2] // 2 :, psfs.shape[3] // 2 :][..., : blurred.shape[-2], : blurred.shape[-1]]
        misfit = _means((blurred - inside).square()) / sigma**2
        squares = (latent[..., :-1, 1:] - latent[..., :-1, :-1]).square() + (
            latent[..., 1:, :-1] - latent[..., :-1, :-1]
        ).square()
        edges = _EDGE_WEIGHT * _means((squares + _EDGE_FLOOR).log())
        precision = 0.5 * _means(posterior_precision(psfs, image.shape[2:], sigma).log())
        return cls(latent, misfit / 2 + edges + precision, misfit, _means(squares.sqrt()), _means(squares))

    @property
    def sparsity(self) -> Tensor:
        """As of `Candidate`, of each image."""
        return self.lengths.log() - self.squares.log() / 2

    @property
    def ranking_score(self) -> float:
        """As of `Candidate`, of all images together, as of one."""
        sparsity = self.lengths.mean().log() - self.squares.mean().log() / 2
        return float(self.score.mean() + _SPARSITY_WEIGHT * sparsity)


def posterior_precision(psf: Tensor, shape: Sequence[int], sigma: float) -> Tensor:
    r"""The inverse variance of each frequency of the latent image, :math:`|H|^2 / \sigma^2 + |D|^2 / s^2`, on a
    periodic domain of that shape."""
    otf = psf_to_otf(psf, shape)
    return (otf.real.square() + otf.imag.square()) / sigma**2 + _gradient.power(shape, psf) / _GRADIENT_SCALE**2


def _means(values: Tensor) -> Tensor:
    return values.mean((1, 2, 3))
