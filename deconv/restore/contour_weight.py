r"""How much total variation an image of counts needs, without being told.

.. math:: \tau = 1.3\, \left(1 - q (1 - c)\right)^2 r^{3/2}

Total variation shortens contours, and costs a structure the more of its light the smaller it is beside the psf. So
its weight grows with the noise where the light is, relative to the light, r, and, in images whose light is in few
places, q, with the coarseness c of the latent image.

**Noise.** Where photons are counted, the noise's variance grows with the light. With the mean m of the image above
its background b, and its contrast s, a photon finds itself among :math:`L = m + s^2 / m` of them on the mean, where
m + b is what the mean variance :math:`\sigma^2` belongs to. So :math:`r^2 = \sigma^2 (L + b) / ((m + b) L^2)`, which is
:math:`\sigma^2 / (m^2 + s^2)` without a background.

**Few places.** The share of the contrast in the mean square, :math:`q = \min(1, 2 s^2 / (m^2 + s^2))`: 1 where light
stands on the dark, near 0 where structures are slight differences of a bright image, as in textures of photographs,
which are not told from noise without it.

**Coarseness.** Blurred once more by h, an image keeps more of its variance the larger its structures are. Of isolated
points and of white noise :math:`w = \sum |H|^4 / \sum |H|^2` is left. So

.. math:: c = \frac{\mathrm{var}(h * y) / \mathrm{var}(y) - w}{1 - w}

with the noise's share taken off both variances: 0 for points, 0.2 for filaments, 0.4 for blobs of a few psfs, 0.8 to 1
for photographs.

Of volumes that is the most: a part of it may be better, see `deconv.restore.held_out_weight`, but nothing gains from
less than :math:`1.3 \cdot 0.004\, r^{3/2}`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .forward import Convolution
from .padded_domain import PaddedDomain
from .problem import Problem

__all__ = ["coarseness", "contour_weight", "least_contour_weight"]

# Chosen on four photographs under three blurs each, and on stacks of beads, rods, spheres and clouds of 40 to 4000
# photons under two: none of those that tests and documentation report on.
_COEFFICIENT, _COARSE_POWER, _NOISE_POWER = 1.3, 2.0, 1.5

# What stands for the square of the coarseness in the least weight that is worth trying. Chosen on beads, thin lines,
# rods, shells, clouds and textures of 20 to 1500 photons under two psfs: less gained no more than 0.2 dB and lost 1.
_LEAST_SIZE = 0.004

# Variance of the image, relative to that of its noise, below which it tells nothing of the image's structure.
_LEAST_SIGNAL = 0.02

# A psf with more left of white noise is hardly one, and a second blur by it tells nothing.
_MOST_ALIKE = 0.99

# The mean is not below this part of the contrast, as it is of differences.
_LEAST_MEAN = 1e-3


def contour_weight(problem: Problem, background: Tensor, start: Tensor | None = None) -> Tensor:
    r"""The weight of the total variation of `richardson_lucy`, for each sample and channel.

    Parameters
    ----------
    problem : Problem
        The observation.
    background : Tensor
        b, in the problem's unit, broadcasts against the observation.
    start : Tensor, optional
        ``domain.start()``, where it is at hand.

    Returns
    -------
    Tensor
        :math:`\tau`, `(B, C, 1, 1)`, or with one more axis of size 1 for volumes; a constant to all derivatives.
    """
    variance, sparse, noise = _noise(problem, background)
    size = 1 - sparse * (1 - coarseness(problem.domain, variance, start))
    return (_COEFFICIENT * size**_COARSE_POWER * noise**_NOISE_POWER).detach()


def least_contour_weight(problem: Problem, background: Tensor) -> Tensor:
    """The least weight that may be worth trying, of volumes, for each sample and channel.

    Parameters
    ----------
    problem, background
        As for `contour_weight`.
    """
    _, _, noise = _noise(problem, background)
    return _COEFFICIENT * _LEAST_SIZE * noise**_NOISE_POWER


def _noise(problem: Problem, background: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The variance of the noise, q, and r, which is 1 at most."""
    domain, statistics = problem.domain, problem.statistics
    image = problem.mean_frame.detach()
    offset = domain.combine(background).detach()
    variance = torch.minimum(statistics.sigma, _greatest_noise(image, domain.axes)).square()
    contrast = statistics.contrast
    mean = torch.maximum(statistics.mean - offset, _LEAST_MEAN * contrast)
    light = mean + contrast.square() / mean
    relative = variance * (light + offset) / ((mean + offset) * light.square())
    sparse = (2 * contrast.square() / (mean.square() + contrast.square())).clamp_max(1)
    return variance, sparse, relative.sqrt().clamp_max(1)


def coarseness(domain: PaddedDomain, variance: Tensor, start: Tensor | None = None) -> Tensor:
    """c of the module's formula, in [0, 1], for each sample and channel; 1 where all is noise, or nothing is blurred.

    Parameters
    ----------
    domain : PaddedDomain
        Of the observation.
    variance : Tensor
        Of its noise, broadcasts against it.
    start : Tensor, optional
        ``domain.start()``, where it is at hand.
    """
    window = tuple(2 * n for n in domain.psf.shape[-len(domain.axes) :])
    with torch.no_grad():
        power = Convolution(domain.psf, window, domain.forward.shares).power
        start = domain.start() if start is None else start
        seen, again = domain.crop(start), domain.crop(domain.combine(domain.blur(start)))
    squares, fourths = ((power**n).mean(domain.axes, keepdim=True) for n in (1, 2))
    white = fourths / squares
    before = seen.var(domain.axes, correction=0, keepdim=True) - variance
    after = again.var(domain.axes, correction=0, keepdim=True) - variance * squares
    kept = (after / before - white) / (1 - white)
    told = (before > _LEAST_SIGNAL * variance) & (before > 0) & (white < _MOST_ALIKE)
    return torch.where(told, kept.clamp(0, 1), 1)


def _greatest_noise(image: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Standard deviation that the mean square of second differences allows for.

    The noise is estimated where no pixel is clipped, and the dark of sparse counts, zeros side by side, looks as if it
    were. What counts here is the mean over all pixels.
    """
    powers = [image.diff(n=2, dim=axis).square().mean(axes, keepdim=True) / 6 for axis in axes if image.shape[axis] > 2]
    return torch.stack(powers).amin(0).sqrt() if powers else image.new_full((), torch.inf)
