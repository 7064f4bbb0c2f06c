r"""The image step: the latent image with the fewest edges that explains an observation by a given psf.

.. math:: \min_x \; \| h * x - y \|^2 + \lambda \, \# \{ p : \nabla x(p) \ne 0 \}

solved by half-quadratic splitting: with :math:`g \approx \nabla x` at a penalty that doubles from
:math:`2 \lambda` on, g is the gradient of x where it is large enough and zero elsewhere, and x is one division in
frequency. The result is piecewise constant: no photograph, but the strong edges that a psf is to be estimated from
(Xu, Zheng and Jia, "Unnatural L0 sparse representation for natural image deblurring", CVPR 2013).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.boundary import extend
from ..imaging.convolution import psf_to_otf
from ..imaging.periodic import padded_margins
from ..restore.derivatives import Gradient
from ..restore.shrinkage import squared

__all__ = ["Scale"]

# The penalty at which g and the gradient of x have become one; in units of the contrast.
_LAST_PENALTY = 5e3

_gradient = Gradient()


class Scale:
    """An observation at one scale of the pyramid, on a periodic domain that continues it smoothly.

    Parameters
    ----------
    image : Tensor
        `(1, 1, H, W)`, of mean 0 and unit contrast.
    size : tuple of int
        The psf's window at this scale, `(kh, kw)`.
    sigma : float
        Standard deviation of the image's noise.

    Attributes
    ----------
    shape : tuple of int
        That of the periodic domain, `(H', W')`.
    gradients, gradient_spectrum : Tensor
        Of the observation, `(2, 1, H', W')`, and their transform.
    laplacian : Tensor
        Spectrum of the squared gradient, `(H', W' // 2 + 1)`.
    """

    def __init__(self, image: Tensor, size: tuple[int, int], sigma: float) -> None:
        self.image = image
        self.size = size
        self.sigma = sigma
        self.margins = padded_margins(image.shape[2:], size)
        padded = extend(image, self.margins)
        self.shape = (padded.shape[2], padded.shape[3])
        self.spectrum = torch.fft.rfft2(padded)
        self.laplacian = _gradient.power(self.shape, image)
        self.gradients = _gradient.analyse(padded)[:, 0]
        self.gradient_spectrum = torch.fft.rfft2(self.gradients)

    def latent_gradients(self, psf: Tensor, weight: Tensor) -> Tensor:
        r"""Gradients `(2, N, H', W')` of the latent images.

        Parameters
        ----------
        psf : Tensor
            `(N, kh, kw)`, one for each latent image.
        weight : Tensor
            :math:`\lambda`, `(N, 1, 1)`, in units of the contrast squared.
        """
        otf = psf_to_otf(psf, self.shape)
        data, power = otf.conj() * self.spectrum[0], otf.real.square() + otf.imag.square()
        gradients = self.gradients
        doublings = 1
        while (going := (penalty := weight * 2**doublings) < _LAST_PENALTY).any():
            kept = gradients * (squared(gradients) >= 0.5**doublings)
            spectrum = torch.fft.rfft2(_gradient.adjoint(kept)) * penalty + data
            spectrum *= (power + penalty * self.laplacian).reciprocal()
            latent = torch.fft.irfft2(spectrum, s=self.shape)
            gradients = torch.where(going, _gradient.analyse(latent), gradients)
            doublings += 1
        return gradients
