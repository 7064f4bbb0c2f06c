r"""The latent image as a distribution: its mean and a draw around it, each gradient with a prior variance of its own.

.. math:: y = M (h * x) + n, \qquad p(x) \propto \prod_p (|\nabla x(p)|^2 + \epsilon)^{-a}

with M the frame, beyond which nothing is observed. A heavy-tailed prior is the lowest of all normal ones that touch it,
so that of the normal distributions q the one of the least free energy has

.. math:: C^{-1} = \frac{H^T M H}{\sigma^2} + D^T W D, \qquad C^{-1} \mu = \frac{H^T M y}{\sigma^2}, \qquad
    W = \frac{2 a}{E_q |\nabla x|^2 + \epsilon} .

An image has one degree of freedom for each pixel, not the two of its gradient: the scale :math:`\epsilon` is the one
with which :math:`W E_q |\nabla x|^2` is 1 in the mean.

The covariance is no diagonal one: a blurred image tells a sum of neighbours far better than each of them, and if that
is left out of account, the psf is led far away. A draw has all of it,

.. math:: C^{-1} \xi = H^T M n_1 / \sigma + D^T W^{1/2} n_2, \qquad n_1, n_2 \sim N(0, 1),

and means over an image of it are as good as expectations: one is enough. Both are solved by conjugate gradients,
whose unknown is a spectrum.

References: Levin, Weiss, Durand and Freeman, "Efficient marginal likelihood optimization in blind deconvolution", CVPR
2011; Babacan, Molina, Do and Katsaggelos, "Bayesian blind deconvolution with general sparse image priors", ECCV 2012;
draws: Papandreou and Yuille, "Gaussian sampling by local perturbations", NeurIPS 2010.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.boundary import extend
from ..imaging.convolution import psf_to_otf
from ..restore.derivatives import Gradient
from ..restore.shrinkage import squared
from .evidence import NormalisedImage
from .image_step import Scale
from .psf_step import fit_psf

__all__ = ["LatentPosterior", "prior_weights"]

_TAIL = 0.75  # a
# Steps of conjugate gradients at each psf: they begin where those of the last psf have ended.
_ITERATIONS = 12
# The share of the target's square below which a residual is one of rounding.
_ROUNDING = 1e-10
# Pixels on each side of the square over which the square of a draw's gradient is averaged to a variance.
_AROUND = 5
# The scale where gradients are zero nearly everywhere, in drawings; and steps to find it otherwise.
_LEAST_SCALE, _SCALE_STEPS = 1e-5, 10

_gradient = Gradient()


class LatentPosterior:
    r"""The distribution of one latent image, as the psf changes.

    Parameters
    ----------
    observed : NormalisedImage
        The observation.
    scale : Scale
        Of full size: the psf's window and the periodic domain, `(H', W')`.
    smoothing : Tensor
        What both sides are smoothed by before the psf is fitted, lest noise count more than edges.
    latent : Tensor
        A first estimate of the latent image, `(1, 1, H, W)`.

    Attributes
    ----------
    weights : Tensor
        W, `(1, H', W')`.
    """

    def __init__(self, observed: NormalisedImage, scale: Scale, smoothing: Tensor, latent: Tensor) -> None:
        self.scale, self.sigma = scale, observed.sigma
        (top, bottom), (left, right) = scale.margins
        self.frame = F.pad(torch.ones_like(observed.image[0]), (left, right, top, bottom))
        self.observed = F.pad(observed.image[0], (left, right, top, bottom))
        self.smoothing = psf_to_otf(smoothing, scale.shape)
        mean = extend(latent, scale.margins)[:, 0]
        # The same noise for all psfs, so that the draw changes with the psf alone.
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(3, *scale.shape, generator=generator).to(mean)
        self.noise, self.prior_noise = self.frame * noise[:1], noise[1:, None]
        self.spectra = torch.fft.rfft2(torch.cat([mean, torch.zeros_like(mean)]))  # of the mean and of the draw
        self.weights = torch.zeros_like(mean)

    @property
    def mean(self) -> Tensor:
        r""":math:`\mu`, `(H', W')`."""
        return self._image(self.spectra[0])

    @property
    def draw(self) -> Tensor:
        r""":math:`\xi`, `(H', W')`."""
        return self._image(self.spectra[1])

    def update(self, psf: Tensor) -> None:
        """The mean and the draw that go with a psf `(kh, kw)`, nearer by some steps of conjugate gradients."""
        energy, spread = squared(_gradient.analyse(self._image(self.spectra))).split(1)
        padded = F.pad(spread[None], [_AROUND // 2] * 4, "circular")
        self.weights = prior_weights(energy + F.avg_pool2d(padded, _AROUND, 1)[0])
        otf = psf_to_otf(psf, self.scale.shape)
        back = otf.conj() / self.sigma**2
        power = (otf.real.square() + otf.imag.square()) / self.sigma**2
        inverse = 1 / (power + self.weights.median() * self.scale.laplacian)

        def precision(spectra: Tensor) -> Tensor:
            misfit = torch.fft.rfft2(self.frame * self._image(otf * spectra))
            prior = _gradient.adjoint(self.weights * _gradient.analyse(self._image(spectra)))
            return back * misfit + torch.fft.rfft2(prior)

        told = torch.fft.rfft2(torch.cat([self.observed, self.sigma * self.noise]))
        perturbed = torch.fft.rfft2(_gradient.adjoint(self.weights.sqrt() * self.prior_noise))
        target = back * told + torch.cat([torch.zeros_like(perturbed), perturbed])
        solved, residual = self.spectra, target - precision(self.spectra)
        ahead = conditioned = inverse * residual
        size = self._products(residual, conditioned)
        least = _ROUNDING * self._products(target, inverse * target)
        for _ in range(_ITERATIONS):
            product = precision(ahead)
            # What is solved stays: from there on rounding errors grow.
            length = torch.where(size > least, size / self._products(ahead, product), 0)
            solved, residual = solved + length * ahead, residual - length * product
            conditioned = inverse * residual
            last, size = size, self._products(residual, conditioned)
            ahead = conditioned + torch.where(last > least, size / last, 0) * ahead
        self.spectra = solved

    def fitted(self, psf: Tensor, ridge: float) -> Tensor:
        r"""The psf of least expected misfit, of sum 1; `psf`: that of the distribution, ridge: :math:`\gamma`.

        .. math:: \min_{h \ge 0} \; E_q \| \nabla (h * x - y) \|^2 + \gamma \| h \|^2 ,

        where y is unknown, beyond the frame, as the last psf would have it for each x.
        """
        unseen = (1 - self.frame) * self._image(psf_to_otf(psf, self.scale.shape) * self.spectra)
        unseen[0] += self.observed[0]
        latent = self._image(self.smoothing * self.spectra)
        observed = self._image(self.smoothing * torch.fft.rfft2(unseen))
        # Mean and draw beside each other as two more directions: all add to one misfit.
        latent, observed = (_gradient.analyse(each).flatten(0, 1)[:, None] for each in (latent, observed))
        fitted = fit_psf(latent, torch.fft.rfft2(observed), self.scale.size, start=psf[None], ridge=ridge)[0]
        return fitted / fitted.sum()

    def _image(self, spectra: Tensor) -> Tensor:
        return torch.fft.irfft2(spectra, s=self.scale.shape)

    def _products(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner products of images, from half of their spectra; `(N, 1, 1)`."""
        products = a.real * b.real + a.imag * b.imag
        total = 2 * products.sum((1, 2)) - products[..., 0].sum(1)
        if self.scale.shape[1] % 2 == 0:
            total = total - products[..., -1].sum(1)
        return total[:, None, None] / (self.scale.shape[0] * self.scale.shape[1])


def prior_weights(energy: Tensor, tail: float = _TAIL) -> Tensor:
    r""":math:`W = 2 a / (E + \epsilon)`, with the scale :math:`\epsilon` at which the mean of W E is 1.

    Parameters
    ----------
    energy : Tensor
        E, the expected square of the gradient at each pixel, in units of the contrast.
    tail : float
        a, above 0.5.
    """
    scale = energy.mean()
    for _ in range(_SCALE_STEPS):  # of Newton's method, in the logarithm of the scale
        share = energy / (energy + scale)
        excess = (share.mean() - 0.5 / tail) / (share * (1 - share)).mean()
        scale = (scale * excess.clamp(-2, 2).exp()).clamp_min(_LEAST_SCALE)
    return 2 * tail / (energy + scale)
