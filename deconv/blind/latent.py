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

from ..imaging.boundary import canvas_margins, extend
from ..imaging.convolution import psf_to_otf
from ..restore.derivatives import Gradient

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
        self.margins = canvas_margins(image.shape[2:], size)
        self.canvas = extend(image, self.margins)
        self.shape = tuple(self.canvas.shape[2:])
        self.spectrum = torch.fft.rfft2(self.canvas)
        self.laplacian = _gradient.power(self.shape, image)
        self.slopes = _gradient.analyse(self.canvas)[:, 0, 0]

    def sharpen(self, psf: Tensor, weight: float) -> Tensor:
        """Gradients `(2, H, W)` of the scene behind the observation, on the torus.

        psf: `(kh, kw)`. weight: lambda, in units of the contrast squared.
        """
        otf = psf_to_otf(psf, self.shape)
        data, power = otf.conj() * self.spectrum[0, 0], otf.real.square() + otf.imag.square()
        slopes = self.slopes
        penalty = 2 * weight
        while penalty < _STIFFEST:
            large = slopes.square().sum(0) >= weight / penalty
            kept = slopes * large
            spectrum = torch.fft.rfft2(_gradient.adjoint(kept)).mul_(penalty).add_(data)
            scene = torch.fft.irfft2(spectrum.div_(power + penalty * self.laplacian), s=self.shape)
            slopes = _gradient.analyse(scene)
            penalty *= 2
        return slopes
