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

from dataclasses import dataclass

from torch import Tensor

from ..imaging.convolution import convolve, psf_to_otf
from ..restore import hyper_laplacian
from ..restore.derivatives import Gradient
from .observation import Observation

__all__ = ["Candidate", "restored", "score"]

_EDGE_PRICE, _EDGE_FLOOR, _SLOPE = 0.3, 3e-5, 0.06

_gradient = Gradient()


def restored(image: Tensor, psf: Tensor, sigma: float) -> Tensor:
    """The scene that goes with a psf."""
    return hyper_laplacian(image, psf, sigma=sigma, num_iter=20, progress=False)


def score(image: Tensor, scene: Tensor, psf: Tensor, sigma: float) -> float:
    """Minus the logarithm of the evidence, per pixel, up to a constant; the lowest is the best.

    image: `(1, 1, H, W)` of unit contrast. scene: restored with the psf `(kh, kw)`. sigma: of the noise.
    """
    seen = convolve(scene, psf)
    inside = image[..., psf.shape[0] // 2 :, psf.shape[1] // 2 :][..., : seen.shape[-2], : seen.shape[-1]]
    misfit = (seen - inside).square().mean() / (2 * sigma**2)
    slopes = (scene[..., :-1, 1:] - scene[..., :-1, :-1]).square() + (
        scene[..., 1:, :-1] - scene[..., :-1, :-1]
    ).square()
    edges = _EDGE_PRICE * (slopes + _EDGE_FLOOR).log().mean()
    otf = psf_to_otf(psf, image.shape[2:])
    power = (otf.real.square() + otf.imag.square()) / sigma**2
    volume = 0.5 * (power + _gradient.power(image.shape[2:], image) / _SLOPE**2).log().mean()
    return float(misfit + edges + volume)


@dataclass(frozen=True)
class Candidate:
    """A psf to choose from. scene: what is restored with it; weight: of the L0 prior that found it; trace: the psfs
    on the way."""

    psf: Tensor
    scene: Tensor
    score: float
    weight: float
    trace: tuple[Tensor, ...]

    @classmethod
    def of(cls, observation: Observation, psf: Tensor, weight: float, trace: tuple[Tensor, ...]) -> Candidate:
        scene = restored(observation.image, psf, observation.sigma)
        return cls(psf, scene, score(observation.image, scene, psf, observation.sigma), weight, trace)
