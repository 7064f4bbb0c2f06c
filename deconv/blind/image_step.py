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
from ..restore.compiled import are_compiled
from ..restore.derivatives import Gradient
from ..restore.shrinkage import squared

__all__ = ["Scale"]

# The penalty at which g and the gradient of x have become one; in units of the contrast.
_LAST_PENALTY = 5e3

# From so many pixels on, in all images together, its passes are compiled.
_LEAST_PIXELS = 2**15

_gradient = Gradient()


class Scale:
    """An observation at one scale of the pyramid, on a periodic domain that continues it smoothly.

    Parameters
    ----------
    image : Tensor
        `(1, 1, H, W)`, of mean 0 and unit contrast; or tiles of one, `(N, 1, H, W)`, each with a psf of its own.
    size : tuple of int
        The psf's window at this scale, `(kh, kw)`.
    sigma : float
        Standard deviation of the image's noise.

    Attributes
    ----------
    shape : tuple of int
        That of the periodic domain, `(H', W')`.
    padded, spectrum : Tensor
        The observation on that domain, `(1, H', W')`, or `(N, H', W')`, and its transform.
    gradients, gradient_spectrum : Tensor
        Of the observation, `(2, 1, H', W')`, or `(2, N, H', W')`, and their transform.
    laplacian : Tensor
        Spectrum of the squared gradient, `(H', W' // 2 + 1)`.
    """

    def __init__(self, image: Tensor, size: tuple[int, int], sigma: float) -> None:
        self.image = image
        self.size = size
        self.sigma = sigma
        self.margins = padded_margins(image.shape[2:], size)
        self.padded = extend(image, self.margins)[:, 0]
        self.shape = (self.padded.shape[1], self.padded.shape[2])
        self.spectrum = torch.fft.rfft2(self.padded)
        self.laplacian = _gradient.power(self.shape, image)
        self.gradients = _gradient.analyse(self.padded)
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
        data, power = otf.conj() * self.spectrum, otf.real.square() + otf.imag.square()
        latent = self.padded  # with which all begin
        doublings = 1
        while (going := (penalty := weight * 2**doublings) < _LAST_PENALTY).any():
            spectrum = torch.fft.rfft2(_adjoint_of_strong(latent, 0.5**doublings)).expand_as(data).contiguous()
            following = torch.fft.irfft2(_solved(spectrum, data, power, self.laplacian, penalty), s=self.shape)
            latent = following if going.all() else torch.where(going, following, latent)
            doublings += 1
        return _gradient.analyse(latent)


def _adjoint_of_strong(latent: Tensor, least: float) -> Tensor:
    """The adjoint gradient of those gradients of images `(N, H, W)` whose square is `least` at least."""
    if latent.dtype == torch.float32 and are_compiled(latent, _LEAST_PIXELS):
        from ..restore.compiled.strong_gradients import adjoint_of_strong

        return adjoint_of_strong(latent, least)
    gradients = _gradient.analyse(latent)
    return _gradient.adjoint(gradients * (squared(gradients) >= least))


def _solved(spectrum: Tensor, data: Tensor, power: Tensor, laplacian: Tensor, penalty: Tensor) -> Tensor:
    r""":math:`(d + \beta s) / (p + \beta l)` in place of the spectrum s."""
    if power.dtype == torch.float32 and are_compiled(power, _LEAST_PIXELS):
        from ..restore.compiled.strong_gradients import solve

        solve(spectrum, data, power, laplacian, penalty)
        return spectrum
    return spectrum.mul_(penalty).add_(data).mul_((power + penalty * laplacian).reciprocal())
