r"""The image step: the scene with the fewest edges that explains an observation by a given psf.

.. math:: \min_x \; \| h * x - y \|^2 + \lambda \, \# \{ p : \nabla x(p) \ne 0 \}

solved by half-quadratic splitting: with :math:`g \approx \nabla x` at a penalty that doubles from
:math:`2 \lambda` on, g is the gradient of x where it is large enough and zero elsewhere, and x is one division in
frequency. What comes out is no photograph but a drawing of its strong edges, which is what a psf is to be
estimated from (Xu, Zheng and Jia, "Unnatural L0 sparse representation for natural image deblurring", CVPR 2013).
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
_STIFFEST = 5e3

_gradient = Gradient()


class Scale:
    """An observation at one scale of the pyramid, laid out on a torus that continues it smoothly.

    image: `(1, 1, H, W)`, of mean zero and unit contrast. size: that of the psf's window, `(kh, kw)`.
    sigma: standard deviation of its noise.
    """

    def __init__(self, image: Tensor, size: tuple[int, int], sigma: float) -> None:
        self.image = image
        self.size = size
        self.sigma = sigma
        self.margins = padded_margins(image.shape[2:], size)
        self.canvas = extend(image, self.margins)
        self.shape = tuple(self.canvas.shape[2:])
        self.spectrum = torch.fft.rfft2(self.canvas)
        self.laplacian = _gradient.power(self.shape, image)
        self.slopes = _gradient.analyse(self.canvas)[:, 0]
        self.slopes_spectrum = torch.fft.rfft2(self.slopes)

    def sharpen(self, psf: Tensor, weight: Tensor) -> Tensor:
        """Gradients `(2, N, H, W)` of the scenes behind the observation, on the torus.

        psf: `(N, kh, kw)`, one for each scene. weight: lambda `(N, 1, 1)`, in units of the contrast squared.
        """
        otf = psf_to_otf(psf, self.shape)
        data, power = otf.conj() * self.spectrum[0], otf.real.square() + otf.imag.square()
        slopes = self.slopes
        doublings = 1
        while (going := (penalty := weight * 2**doublings) < _STIFFEST).any():
            kept = slopes * (squared(slopes) >= 0.5**doublings)
            spectrum = torch.fft.rfft2(_gradient.adjoint(kept)) * penalty + data
            spectrum *= (power + penalty * self.laplacian).reciprocal()
            scene = torch.fft.irfft2(spectrum, s=self.shape)
            slopes = torch.where(going, _gradient.analyse(scene), slopes)
            doublings += 1
        return slopes
